"""What a folder of fetched photographs knows of itself: its lists, its licences, its files.

licences/ holds the two lists, the two licences and which of these were accepted; fetched.csv says
of every photograph where it is from and under which licence; failed.csv which were not to be had.
"""

import csv
import hashlib
import io
import json
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from pp_lib.photos.files import write_atomically
from pp_lib.photos.fivek.courtesy import NotFetched
from pp_lib.photos.fivek.download import Download
from pp_lib.photos.fivek.lists import LICENCES, Entry, Licence, merge, parse_names
from pp_lib.photos.manifest import write_table

FOLDER, ACCEPTED = "licences", "accepted.csv"
JOURNAL, FETCHED, FAILED = ".fetched.jsonl", "fetched.csv", "failed.csv"
ACCEPTED_COLUMNS = ("licence", "sha256", "accepted_at", "address")


@dataclass(frozen=True)
class Fetched:
    """One photograph that came whole; `bytes` is its length."""

    file: str
    licence: str
    bytes: int
    sha256: str
    address: str
    etag: str
    last_modified: str


class FetchJournal:
    """Which photographs came whole: one JSON object a line, so that a killed run loses nothing."""

    def __init__(self, out: Path):
        self.out, self.rows = out, {}
        path = out / JOURNAL
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                row = Fetched(**json.loads(line))
            except (ValueError, TypeError):
                continue  # cut short by a kill: its photograph has no name yet
            self.rows[row.file] = row
        lines = [json.dumps(asdict(row)) + "\n" for row in self.rows.values()]
        write_atomically(path, "".join(lines).encode("ascii"))
        self._stream = open(path, "ab")  # noqa: SIM115  see close

    def is_whole(self, file: str) -> bool:
        """Say whether a photograph is there as it came."""
        path = self.out / file
        return file in self.rows and path.is_file() and path.stat().st_size == self.rows[file].bytes

    def note(self, row: Fetched) -> None:
        """Note one, before it gets its name."""
        self._stream.write(json.dumps(asdict(row)).encode("ascii") + b"\n")
        self._stream.flush()
        self.rows[row.file] = row

    def write(self, failed: list[tuple[Entry, NotFetched, str]]) -> None:
        """Write fetched.csv (all that ever came whole; `kept` if it is there) and failed.csv."""
        rows = [
            asdict(row) | {"kept": "yes" if self.is_whole(file) else "no"}
            for file, row in sorted(self.rows.items())
        ]
        columns = [*(field.name for field in fields(Fetched)), "kept"]
        write_table(self.out / FETCHED, columns, rows)
        lost = [
            {"file": entry.file, "reason": why.reason, "detail": why.detail, "address": address}
            for entry, why, address in sorted(failed, key=lambda one: one[0])
        ]
        write_table(self.out / FAILED, ("file", "reason", "detail", "address"), lost)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def read_lists(out: Path, base: str, download: Download) -> tuple[list[Entry], list[str]]:
    """Read the lists and licences, from the folder or, the first time, from the server.

    Returns
    -------
    entries : list of Entry
    refused : list of str
        A sentence for each line of the lists that was left out.

    Raises
    ------
    RuntimeError
        If the server does not give them.
    ValueError
        If what it gives are no lists and licences.
    """
    lists, refused = {}, []
    for licence in LICENCES:
        _stored(out, base, licence.text, download)
        path = _stored(out, base, licence.names, download)
        lists[licence.name], bad = parse_names(path.read_bytes())
        refused += [f"{path.name}, {why}" for why in bad]
        if not lists[licence.name]:
            path.unlink()  # asked for anew next time
            raise ValueError(
                f"expected a list with one name a line from {base}/{licence.names}, got one "
                f"without a name: {'; '.join(bad[:3]) or 'it is empty'}"
            )
    entries, twice = merge(lists)
    return entries, refused + twice


def _stored(out: Path, base: str, name: str, download: Download) -> Path:
    path = out / FOLDER / name.rsplit("/", 1)[-1]
    if path.is_file():
        return path
    address = f"{base}/{name}"
    try:
        content = download.text(address)
    except NotFetched as trouble:
        raise RuntimeError(
            f"{address}: {trouble}. The lists and licences come first: try again later, or name "
            "another server with --base"
        ) from trouble
    if not content.strip() or content.lstrip()[:1] == b"<":
        raise ValueError(f"expected plain text from {address}, got {content[:60]!r}")
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, content)
    return path


def not_yet_accepted(out: Path, names: set[str]) -> list[tuple[Licence, str]]:
    """Give those of the licences called `names` that nobody accepted here, with their words."""
    accepted = {(row["licence"], row["sha256"]) for row in _accepted(out)}
    texts = [(licence, _content(out, licence)) for licence in LICENCES if licence.name in names]
    return [
        (licence, content.decode("utf-8", "replace"))
        for licence, content in texts
        if (licence.name, hashlib.sha256(content).hexdigest()) not in accepted
    ]


def note_accepted(out: Path, licence: Licence, base: str) -> None:
    """Record that a licence was accepted, which words it had, and when."""
    row = {
        "licence": licence.name,
        "sha256": hashlib.sha256(_content(out, licence)).hexdigest(),
        "accepted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "address": f"{base}/{licence.text}",
    }
    write_table(out / FOLDER / ACCEPTED, ACCEPTED_COLUMNS, [*_accepted(out), row])


def _content(out: Path, licence: Licence) -> bytes:
    return (out / FOLDER / licence.text.rsplit("/", 1)[-1]).read_bytes()


def _accepted(out: Path) -> list[dict[str, str]]:
    path = out / FOLDER / ACCEPTED
    if not path.is_file():
        return []
    rows = csv.DictReader(io.StringIO(path.read_text("utf-8"), newline=""))
    return [row for row in rows if set(row) == set(ACCEPTED_COLUMNS)]
