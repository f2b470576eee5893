"""MIT-Adobe FiveK: which photographs there are, under which licence, and which of them to take.

V. Bychkovsky, S. Paris, E. Chan and F. Durand, "Learning photographic global tonal adjustment with
a database of input/output image pairs", CVPR 2011. Whoever publishes results is to cite it.

The lists come from a server. A name in them becomes a file's name here, so it is looked at first.
"""

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import numpy as np

BASE = "https://data.csail.mit.edu/graphics/fivek"
MIRROR = "PHOTOPILOT_FIVEK"  # environment variable: another server with the same paths

LONGEST_NAME = 200  # bytes; a file system takes 255, and we put suffixes behind it
# what no file system of today takes, and what would lead out of the folder: separators, a drive
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|]')
# Windows' own
_DEVICES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d\xb9\xb2\xb3])\s*(\..*)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Licence:
    """One of the two licences: `text` holds its words, `names` lists the photographs under it."""

    name: str
    text: str
    names: str


LICENCES = (
    Licence("LicenseAdobe", "legal/LicenseAdobe.txt", "legal/filesAdobe.txt"),
    Licence("LicenseAdobeMIT", "legal/LicenseAdobeMIT.txt", "legal/filesAdobeMIT.txt"),
)


@dataclass(frozen=True, order=True)
class Entry:
    """One photograph of the collection: its bare name, and its licence's name."""

    name: str
    licence: str

    @property
    def file(self) -> str:
        """Give the name of its file."""
        return f"{self.name}.dng"


def base_address(base: str | None = None) -> str:
    """Give the server's address: `base`, else the environment's PHOTOPILOT_FIVEK, else MIT's.

    Raises
    ------
    ValueError
        If it is no http or https address.
    """
    base = (base or os.environ.get(MIRROR) or BASE).rstrip("/")
    try:
        parts = urlsplit(base)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port  # raises for one that is no number
    except ValueError:
        is_one = False
    if not is_one:
        raise ValueError(f"base must be an address such as {BASE}, got {base!r}")
    return base


def photo_address(base: str, name: str) -> str:
    """Give the address of a photograph; a space in its name becomes %20."""
    return f"{base}/img/dng/{quote(name, safe='')}.dng"


def why_not_a_name(name: str) -> str | None:
    """Say why a line of a list cannot be the name of a file in our folder, or give None."""
    if _FORBIDDEN.search(name):
        return "a character that a file's name must not have"
    if name.startswith((".", "-", "~")) or name != name.strip(" ."):
        return "begins or ends as a file's name must not"
    if _DEVICES.fullmatch(name):
        return "the name of a device"
    if len(name.encode()) > LONGEST_NAME:
        return f"longer than {LONGEST_NAME} bytes"
    return None


def parse_names(content: bytes) -> tuple[list[str], list[str]]:
    """Read a list: one bare name a line.

    Parameters
    ----------
    content : bytes
        UTF-8, with any kind of line ends.

    Returns
    -------
    names : list of str
        In the list's order.
    refused : list of str
        A sentence for each line that cannot be taken: "line 3, '../x': why".
    """
    names, refused, seen = [], [], set()
    for i, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            name = line.decode().strip(" \t")
        except UnicodeDecodeError:
            refused.append(f"line {i}, {line[:80]!r}: not UTF-8")
            continue
        name = name[:-4] if name.lower().endswith(".dng") else name
        if not name:
            continue
        why = why_not_a_name(name)
        if why is None and name.casefold() in seen:  # some file systems do not tell case
            why = "it is there twice"
        if why is not None:
            refused.append(f"line {i}, {name[:80]!r}: {why}")
            continue
        seen.add(name.casefold())
        names.append(name)
    return names, refused


def merge(lists: dict[str, list[str]]) -> tuple[list[Entry], list[str]]:
    """Make one list of those of all licences, in the collection's order, that of the names.

    A name under two licences is left out and told: nobody could say which of the two holds.
    """
    licences_of: dict[str, list[str]] = {}
    for licence, names in lists.items():
        for name in names:
            licences_of.setdefault(name.casefold(), []).append(licence)
    entries = [
        Entry(name, licence)
        for licence, names in lists.items()
        for name in names
        if len(licences_of[name.casefold()]) == 1
    ]
    twice = sorted(name for name, licences in licences_of.items() if len(licences) > 1)
    return sorted(entries), [f"{name!r}: in the lists of two licences" for name in twice]


def choose(entries: list[Entry], n: int, seed: int | None = None) -> list[Entry]:
    """Choose `n` photographs: the first, or with a `seed` a random sample.

    The sample is the beginning of one random order, so that a larger one holds the smaller.

    Returns
    -------
    list of Entry
        Sorted by name.

    Raises
    ------
    ValueError
        If `n` is below 1 or above the number of entries.
    """
    if not 1 <= n <= len(entries):
        raise ValueError(
            f"n must be 1 to {len(entries)}, the number of photographs in the lists, got {n}"
        )
    entries = sorted(entries)
    if seed is None:
        return entries[:n]
    order = np.random.default_rng(seed).permutation(len(entries))
    return sorted(entries[i] for i in order[:n])
