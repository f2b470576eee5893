"""EXIF tags as exifread finds them, made plain: name to list of values."""

import logging
from datetime import datetime

from pp_lib.photos.files import UnusablePhoto, is_no_place, open_photo


def read_tags(path) -> dict[str, list]:
    """Give each tag's values as a plain list; an empty dict where there is no EXIF."""
    import exifread

    _keep_quiet(logging.getLogger("exifread"))
    with open_photo(path) as stream:
        try:
            tags = exifread.process_file(stream, details=False)
        except Exception as error:  # a parser of strangers' bytes may raise anything
            if isinstance(error, MemoryError | OSError) and not is_no_place(error):
                raise  # ours or the disk's, not the file's
            detail = f"its EXIF cannot be read ({type(error).__name__}: {error})"
            raise UnusablePhoto(path, "damaged", detail) from error
    plain = {}
    for name, tag in tags.items():
        values = getattr(tag, "values", tag)
        plain[name] = list(values) if isinstance(values, list | tuple) else [values]
    return plain


def _keep_quiet(logger) -> None:
    """Keep exifread's warnings from standard error: the verdict says it better."""
    # one handler for all photographs: each more would be asked at every warning
    if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        logger.addHandler(logging.NullHandler())


def lookup(tags: dict, name: str) -> list:
    """Give a tag's values from the Exif IFD, else from IFD0; an empty list where there is none."""
    return tags.get(f"EXIF {name}") or tags.get(f"Image {name}") or []


def text_of(tags: dict, name: str) -> str | None:
    """Give a tag's text without what cannot be printed; None where nothing is left."""
    value = "".join(str(part) for part in lookup(tags, name))
    return "".join(c for c in value if c.isprintable()).strip() or None


def taken_at(tags: dict) -> datetime | None:
    """Give the time of the exposure by the camera's clock; None where it is not written down."""
    for name in ("DateTimeOriginal", "DateTimeDigitized"):
        text = text_of(tags, name)
        try:
            return datetime.strptime(text or "", "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue  # absent, or a camera whose clock was never set: "0000:00:00 00:00:00"
    return None
