"""Which files of a folder are photographs, and what to call each of them."""

import hashlib
import os
import re
from collections import Counter
from pathlib import Path

from pp_lib.photos.files import PHOTO_SUFFIXES


def find_photos(folder, out=None) -> tuple[list[str], dict[str, int]]:
    """Find everything with a photograph's suffix, at any depth.

    Parameters
    ----------
    folder : path-like
    out : path-like, optional
        A folder to leave out, if it lies within.

    Returns
    -------
    sources : list of str
        Sorted paths relative to `folder`, with forward slashes. A folder called x.jpg is among
        them: it is for the reader to see that it is no photograph.
    ignored : dict of str to int
        What else is there, counted by suffix; links to folders are not followed (they may run in
        circles) and are counted too.

    Raises
    ------
    NotADirectoryError
        If `folder` is no folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"expected a folder of photographs, got {folder}")
    sources, ignored = [], Counter()

    def cannot_list(error: OSError) -> None:
        ignored["folder that cannot be listed"] += 1

    for here, folders, files in os.walk(folder, onerror=cannot_list):
        if out is not None:
            folders[:] = [name for name in folders if not is_same(Path(here, name), out)]
        ignored["link to a folder"] += sum(Path(here, name).is_symlink() for name in folders)
        for name in files + [name for name in folders if _has_photo_suffix(name)]:
            if _has_photo_suffix(name):
                sources.append(Path(here, name).relative_to(folder).as_posix())
            else:
                ignored[Path(name).suffix.lower() or "without suffix"] += 1
    return sorted(sources), {kind: n for kind, n in sorted(ignored.items()) if n}


def _has_photo_suffix(name: str) -> bool:
    return Path(name).suffix.lower() in PHOTO_SUFFIXES


def is_same(path, other) -> bool:
    """Say whether two paths, which need not exist, are the same place."""
    return Path(path).resolve() == Path(other).resolve()


def photo_id(source: str) -> str:
    """Give a file name that no other source has, on any file system, and that still tells which."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", source).strip("-")[-60:]
    return f"{readable}-{hashlib.sha256(os.fsencode(source)).hexdigest()[:12]}"
