"""The manifest: one row for each usable photograph, read back with its types and checked."""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from fractions import Fraction
from pathlib import Path, PurePosixPath

from pp_lib.photos.bins import HEADS, labels
from pp_lib.photos.files import writing_atomically

MANIFEST, REJECTED, IMAGES = "manifest.csv", "rejected.csv", "images"
REJECTED_COLUMNS = ("source", "reason", "detail")


@dataclass(frozen=True)
class Row:
    """One usable photograph.

    Attributes
    ----------
    id : str
        Unique in the manifest; made from `source`.
    source : str
        The photograph's path, relative to the folder that was prepared.
    image : str
        The small picture's path, relative to the manifest's folder: images/<id>.png.
    f_number, iso, exposure_time_s, focal_length_mm, make, model, taken_at, exif_source
        As in `ExposureRecord`; fractions are exact.
    aperture, iso_class, shutter : int
        Classes 0 to 2 (`bins`).
    width, height : int
        Of the photograph itself, upright, in pixels; not of the small picture.
    source_sha256 : str
        Of the photograph's file, 64 hexadecimal digits.
    """

    id: str
    source: str
    image: str
    f_number: Fraction
    iso: int
    exposure_time_s: Fraction
    focal_length_mm: Fraction | None
    make: str | None
    model: str | None
    taken_at: datetime | None
    exif_source: str
    aperture: int
    iso_class: int
    shutter: int
    width: int
    height: int
    source_sha256: str

    @property
    def labels(self) -> tuple[int, int, int]:
        """Give the three classes in the order of `bins.HEADS`."""
        return self.aperture, self.iso_class, self.shutter

    def to_text(self) -> dict[str, str]:
        """Give the row as the manifest holds it: text, empty for None."""
        values = asdict(self)
        values["taken_at"] = self.taken_at.isoformat() if self.taken_at else None
        return {name: "" if value is None else str(value) for name, value in values.items()}


MANIFEST_COLUMNS = tuple(field.name for field in fields(Row))


def write_table(path, columns, rows: Iterable[dict[str, str]]) -> int:
    """Write rows of text as CSV, atomically, and one by one: there may be millions. Count them."""
    n_rows = 0
    with writing_atomically(path) as stream:
        # file names need not be UTF-8; surrogateescape carries their bytes through unchanged
        text = io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline="", write_through=True)
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            n_rows += 1
        text.detach()
    return n_rows


def read_manifest(out) -> list[Row]:
    """Read the manifest of a prepared folder.

    Parameters
    ----------
    out : path-like
        The folder that `prepare` wrote.

    Returns
    -------
    list of Row
        In the manifest's order, which is that of `source`.

    Raises
    ------
    FileNotFoundError
        If there is no manifest, or an image it names is not there.
    ValueError
        If a line is malformed, an id occurs twice, or classes do not follow from the settings.
    """
    out = Path(out)
    path = out / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f"no {MANIFEST} in {out}: prepare the photographs first, or again if that was stopped"
        )
    rows = []
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        if tuple(reader.fieldnames or ()) != MANIFEST_COLUMNS:
            raise ValueError(
                f"{path}: expected the columns {','.join(MANIFEST_COLUMNS)}; "
                f"got {','.join(reader.fieldnames or ())}"
            )
        try:
            for values in reader:
                rows.append(_row(values))
        except (ValueError, ZeroDivisionError, csv.Error) as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}; prepare again") from error
    _check_ids(path, rows)
    missing = [row.image for row in rows if not (out / row.image).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{path} names {len(missing)} image(s) that are not there, the first {missing[0]}: "
            "prepare again, it makes what is missing"
        )
    return rows


def _maybe(kind):
    return lambda text: kind(text) if text else None


_FROM_TEXT = {
    **dict.fromkeys(("f_number", "exposure_time_s"), Fraction),
    **dict.fromkeys(("iso", "aperture", "iso_class", "shutter", "width", "height"), int),
    **{"focal_length_mm": _maybe(Fraction), "taken_at": _maybe(datetime.fromisoformat)},
    **dict.fromkeys(("make", "model"), _maybe(str)),
}


def _row(values: dict) -> Row:
    if None in values or None in values.values():
        raise ValueError(f"expected {len(MANIFEST_COLUMNS)} fields, got more or fewer")
    for name in ("id", "source", "image"):
        if not values[name]:
            raise ValueError(f"{name} is empty")
    row = Row(**{name: _FROM_TEXT.get(name, str)(text) for name, text in values.items()})
    image = PurePosixPath(row.image)
    if image.is_absolute() or ".." in image.parts:
        raise ValueError(f"image must lie in the manifest's folder, got {row.image}")
    expected = tuple(labels(row).values())
    if row.labels != expected:
        raise ValueError(
            f"{'/'.join(HEADS)} classes {row.labels} do not follow from f/{row.f_number}, "
            f"ISO {row.iso}, {row.exposure_time_s} s, which are {expected}"
        )
    return row


def _check_ids(path, rows: list[Row]) -> None:
    seen = set()
    for row in rows:
        if row.id in seen:
            raise ValueError(f"{path}: the id {row.id} occurs twice; prepare again")
        seen.add(row.id)
