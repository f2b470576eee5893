"""An explorer's numbers as one short text: stacked, stored once each, compressed, in base64."""

import base64
import io
import json
import struct
import zlib

import numpy as np

# float16 keeps three digits from here to there; outside it, and for pictures of numbers, float32.
_HALF_FROM, _HALF_TO = 6.2e-5, 6.5e4


class Payload:
    """Collects arrays and pictures, hands out references, and packs all of it."""

    def __init__(self):
        self._arrays = []
        self._chunks = []
        self._length = 0

    def array(self, values):
        """Store one array; return its number."""
        values = np.ascontiguousarray(values)
        if values.dtype.kind == "f":
            size = np.abs(values[np.isfinite(values) & (values != 0)])
            half = size.size == 0 or (size.min() >= _HALF_FROM and size.max() <= _HALF_TO)
            values = values.astype("<f2" if half else "<f4")
        elif values.dtype.kind in "iub":
            low, high = (values.min(), values.max()) if values.size else (0, 0)
            if low < 0 or high >= 2**16:
                raise ValueError(f"whole numbers must lie in 0..65535, got {low} to {high}")
            values = values.astype("u1" if high < 256 else "<u2")
        else:
            raise ValueError(f"expected an array of numbers, got dtype {values.dtype}")
        self._arrays.append(
            {
                "type": values.dtype.str[-2:],
                "shape": list(values.shape),
                "at": self._add(values.tobytes()),
            }
        )
        return len(self._arrays) - 1

    def trace(self, frames):
        """Store one array a frame, equal ones once; return where to find each frame's."""
        frames = [np.asarray(frame) for frame in frames]
        shapes = sorted({frame.shape for frame in frames})
        if len(shapes) > 1:
            raise ValueError(
                f"a trace must have one shape in every frame, got {shapes}: pad it with nan"
            )
        first, index = _unique([frame.tobytes() for frame in frames])
        return {"values": self.array(np.stack([frames[i] for i in first]))} | self._index(index)

    def pictures(self, frames, quality):
        """Store one picture a frame, equal ones once; return where to find each frame's."""
        first, index = _unique([frame.shape + (frame.tobytes(),) for frame in frames])
        stored = []
        for i in first:
            kind, content = _encoded(frames[i], quality)
            stored.append({"kind": kind, "at": self._add(content), "length": len(content)})
        return {"pictures": stored} | self._index(index)

    def sentences(self, sentences):
        """Store one sentence a frame, equal ones once; return where to find each frame's."""
        first, index = _unique(sentences)
        return {"sentences": [sentences[i] for i in first]} | self._index(index)

    def text(self, header):
        """Pack everything stored, and a header of plain data, into one base64 text."""
        head = json.dumps(header | {"arrays": self._arrays}, ensure_ascii=False).encode()
        head += b" " * (-len(head) % 8)
        body = struct.pack("<II", len(head), 0) + head + b"".join(self._chunks)
        return base64.b64encode(zlib.compress(body, 9)).decode("ascii")

    def _add(self, content):
        at = self._length
        content += b"\0" * (-len(content) % 8)  # so that every array begins at a multiple of 8
        self._chunks.append(content)
        self._length += len(content)
        return at

    def _index(self, index):
        # One value for all frames needs no list of which.
        return {"frames": self.array(index)} if index.any() else {}


def _unique(keys):
    """Return the position of each different key's first place, and for each key its number."""
    numbers, first, index = {}, [], []
    for position, key in enumerate(keys):
        if key not in numbers:
            numbers[key] = len(first)
            first.append(position)
        index.append(numbers[key])
    return first, np.array(index)


def _encoded(picture, quality):
    """Return a picture as PNG, or as JPEG where that is much smaller."""
    from PIL import Image

    image = Image.fromarray(picture)
    png, jpeg = io.BytesIO(), io.BytesIO()
    image.save(png, "PNG", optimize=True)
    # 4:4:4: the colour noise of a high ISO is part of what these pictures show.
    image.save(jpeg, "JPEG", quality=quality, subsampling=0, optimize=True)
    smaller = jpeg.tell() < 0.7 * png.tell()
    return ("image/jpeg", jpeg.getvalue()) if smaller else ("image/png", png.getvalue())
