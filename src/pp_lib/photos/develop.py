"""From a file to a picture: developing RAW, reading JPEG, PNG and TIFF (chapter 04).

A crop keeps each pixel as it is, and with it the noise that tells of the ISO. A resize averages
pixels and the noise with them. Neither ever enlarges: that would invent pixels.
"""

import numpy as np

from pp_lib.photos.files import UnusablePhoto, is_no_place, is_raw, open_photo, open_raw

FITS = ("crop", "resize")

# What the camera recorded, and nothing that depends on the rest of the picture. LibRaw's own
# defaults are the curve of television (BT.709), and stretching each picture to its brightest pixel
# (adjust_maximum_thr = 0.75), by up to 0.4 stops, even where no brightening was asked for.
RAW_OPTIONS = {
    "use_camera_wb": True,
    "no_auto_bright": True,
    "adjust_maximum_thr": 0.0,
    "gamma": (2.4, 12.92),  # sRGB: the power, and the slope of its straight beginning
    "output_bps": 8,
}

# An even grey takes 2 bits for 64 pixels, or a third of that in progressive files. What is missing
# libjpeg fills with grey without a word, where the scan ends as it should.
MIN_BITS_PER_JPEG_PIXEL = 0.01

# EXIF orientation -> the transposition that puts the picture upright (as array operations)
_UPRIGHT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def develop(path, *, size: int | None = None, fit: str = "crop", half_size: bool | None = None):
    """Give a photograph as an sRGB picture.

    Parameters
    ----------
    path : path-like
        RAW goes through LibRaw (the camera's white balance, AHD demosaicing, sRGB, no brightening
        of any kind), everything else through Pillow (EXIF orientation applied; grey made RGB; alpha
        dropped; 16 bits cut to 8; colour profiles not applied).
    size : int, optional
        Side of the square wanted, in pixels. None keeps every pixel and the shape.
    fit : {"crop", "resize"}
        "crop": the central square, pixels untouched. "resize": the shorter side becomes `size` by
        area averaging, then the central square.
    half_size : bool, optional
        RAW only. True: each 2 x 2 Bayer quad becomes one pixel (its red, its blue, the mean of its
        greens): nothing is interpolated, and it is about seven times as fast. None: True if the
        half-size picture still is at least `size` both ways, so never when `size` is None.

    Returns
    -------
    ndarray, (H, W, 3) uint8
        sRGB, 0 to 255; H = W = `size` unless that is None.

    Raises
    ------
    UnusablePhoto
        If the file cannot be read, is damaged, or has fewer pixels than `size` either way.
    ValueError
        If `size` or `fit` is none that exists.
    """
    return develop_with_shape(path, size=size, fit=fit, half_size=half_size)[0]


def develop_with_shape(path, *, size=None, fit="crop", half_size=None):
    """Give what `develop` gives, and the upright photograph's own (height, width) in pixels."""
    if fit not in FITS:
        raise ValueError(f"fit must be one of {FITS}, got {fit!r}")
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1 pixel, or None for all pixels; got {size}")
    if is_raw(path):
        picture, shape = _develop_raw(path, size, half_size)
    else:
        picture = _read_image(path)
        shape = picture.shape[:2]
    if size is not None:
        if min(picture.shape[:2]) < size:
            detail = f"{picture.shape[1]} x {picture.shape[0]} pixels; {size} x {size} asked for"
            raise UnusablePhoto(path, "too small", detail)
        if fit == "resize":
            picture = _shrink(picture, size)
        picture = _central_square(picture, size)
    return np.ascontiguousarray(picture), shape


def _develop_raw(path, size, half_size):
    with open_raw(path) as raw:
        height, width = raw.sizes.height, raw.sizes.width
        if half_size is None:
            half_size = size is not None and min(height, width) // 2 >= size
        # (H, W, 3), turned upright by LibRaw; (H, W, 1) of a camera without colour filters
        picture = raw.postprocess(**RAW_OPTIONS, half_size=half_size)
    if picture.shape[2] not in (1, 3):
        raise UnusablePhoto(path, "damaged", f"LibRaw: {picture.shape[2]} colours in its pixels")
    if picture.shape[2] == 1:
        picture = np.repeat(picture, 3, axis=2)
    is_turned = (picture.shape[0] > picture.shape[1]) != (height > width)
    return picture, ((width, height) if is_turned else (height, width))


def _read_image(path) -> np.ndarray:
    from PIL import Image

    with open_photo(path) as stream:
        try:
            with Image.open(stream) as image:
                if image.format == "JPEG":
                    _check_jpeg_ends(path, stream, image.size)
                orientation = image.getexif().get(0x0112, 1)
                pixels = _as_rgb(image)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            # the warning arrives here only where the caller has made warnings errors
            raise UnusablePhoto(path, "too many pixels", str(error)) from error
        except Image.UnidentifiedImageError as error:
            beginning = _beginning(stream)
            known = beginning.startswith((b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*"))
            reason = "damaged" if known else "not a photograph"
            raise UnusablePhoto(path, reason, "Pillow cannot identify it") from error
        except OSError as error:
            if error.errno is not None and not is_no_place(error):  # the system's, not Pillow's
                raise
            raise UnusablePhoto(path, "damaged", f"Pillow: {error}") from error
        except (UnusablePhoto, MemoryError):
            raise
        except Exception as error:  # a parser of strangers' bytes may raise anything
            detail = f"Pillow: {type(error).__name__}: {error}"
            raise UnusablePhoto(path, "damaged", detail) from error
    return _UPRIGHT.get(orientation, lambda a: a)(pixels)


def _beginning(stream) -> bytes:
    stream.seek(0)
    return stream.read(8)


def _check_jpeg_ends(path, stream, size) -> None:
    """Refuse a JPEG whose scan never ends, or that has too few bytes for its (width, height).

    A download that was cut and then padded decodes without complaint, its missing part flat grey.
    An end marker cannot occur inside a scan (there 0xFF is always followed by 0), so it must come
    after the start of the scan, whatever trails behind it.
    """
    position = stream.tell()
    stream.seek(0)
    content = stream.read()
    stream.seek(position)
    bits = 8 * len(content) / max(size[0] * size[1], 1)
    if bits < MIN_BITS_PER_JPEG_PIXEL:
        detail = f"{len(content):,} bytes cannot hold {size[0]} x {size[1]} pixels"
        raise UnusablePhoto(path, "damaged", detail)
    at = 2  # walk the segments, each 0xFF, marker, length: a thumbnail inside one has its own scan
    while content[at : at + 1] == b"\xff" and content[at + 1 : at + 2] != b"\xda":
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    if content.find(b"\xff\xd9", at) < 0:
        raise UnusablePhoto(path, "damaged", "a JPEG without an end: its lower part is missing")


def _as_rgb(image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it to white
        grey = np.asarray(image)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError(f"grey values from {grey.min()} to {grey.max()} are not 16 bits")
        grey = (grey // 256).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed white")
    return np.asarray(image.convert("RGB"))  # (H, W, 3)


def _shrink(picture: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    height, width = picture.shape[:2]
    scale = size / min(height, width)
    shape = (max(size, round(width * scale)), max(size, round(height * scale)))
    image = Image.fromarray(np.ascontiguousarray(picture))
    # BOX is the plain mean over each pixel's area, so that chapter 04 can say what it does to noise
    return np.asarray(image.resize(shape, Image.Resampling.BOX))


def _central_square(picture: np.ndarray, size: int) -> np.ndarray:
    top, left = (picture.shape[0] - size) // 2, (picture.shape[1] - size) // 2
    return picture[top : top + size, left : left + size]
