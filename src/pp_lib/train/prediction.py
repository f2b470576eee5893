"""Ask a network about photographs, and put beside its answers what the cameras wrote down.

It sees what the published one was judged on (data/runs/judge_backbone.py): the central 128 pixels
of a photograph at full size. What an average over several crops is worth was not measured.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from pp_lib.photos.bins import HEADS, labels
from pp_lib.photos.develop import develop
from pp_lib.photos.exif import ExposureRecord, read_exposure
from pp_lib.photos.files import PHOTO_SUFFIXES, UnusablePhoto, is_raw

from .checkpoint import _read, load_heads, read_heads_metadata
from .crops import standardise
from .repository import CAMERA_HEADS, recorded_run, repository_file
from .three_heads import ThreeHeads

CROP = 128  # pixels
_HALVED_FROM = 2 * 256  # pixels: `prepare`, unasked, develops larger RAW at half size
_LOOKED_AT = 512  # pixels: more is not needed to recognise a picture
_EIGHTHS = "▏▎▍▌▋▊▉"


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says about one photograph, and what the camera wrote down.

    Attributes
    ----------
    source : str
        The file's name, or "photograph 2" for the second where that is an array.
    probabilities : dict of (3,) float64 ndarray
        For each head, in the order of `classes`; each sums to one. Empty if there is no answer.
    record : ExposureRecord or None
    reason : str
        Why there is no answer, or no record, as `UnusablePhoto` says it; empty if both are there.
    photo : (h, w, 3) uint8 ndarray, or None
        To look at: every `step`-th pixel of the photograph both ways.
    step : int
    """

    source: str
    probabilities: dict
    record: ExposureRecord | None = None
    reason: str = ""
    photo: np.ndarray | None = None
    step: int = 1

    @property
    def classes(self):
        """Give the names of each head's three classes."""
        return {head: bins.names for head, bins in HEADS.items()}

    @property
    def recorded(self):
        """Give for each head (class, value) of the record, such as (1, "f/8"); {} without one."""
        if self.record is None:
            return {}
        t = self.record.exposure_time_s
        seconds = t if 1 in (t.numerator, t.denominator) else f"{float(t):.3g}"
        values = (f"f/{float(self.record.f_number):g}", f"ISO {self.record.iso}", f"{seconds} s")
        return dict(zip(HEADS, zip(labels(self.record).values(), values, strict=True), strict=True))

    def rows(self):
        """Yield (head, class, its name, its probability, the recorded value if of this class)."""
        for head, p in self.probabilities.items():
            recorded, value = self.recorded.get(head, (None, ""))
            for k, name in enumerate(self.classes[head]):
                yield head, k, name, float(p[k]), value if k == recorded else ""

    def panel(self, bar=16):
        """Give a table for a terminal, with bars of up to `bar` characters."""
        lines = [self._title(self.source)]
        for head, k, name, p, value in self.rows():
            whole, eighths = divmod(round(8 * bar * p), 8)
            drawn = "█" * whole + _EIGHTHS[eighths - 1 : eighths]
            mark = f"  ◀ EXIF: {value}" if value else ""
            lines.append(f"  {'' if k else head:<10}{name:<28}{drawn:<{bar}}{100 * p:4.0f} %{mark}")
        return "\n".join(lines)

    def describe(self):
        """Say the same in a sentence, for those who do not see a bar."""
        said = [
            f"{'' if k else f'{head}: '}{name}, {100 * p:.0f} %{value and f' (EXIF: {value})'}"
            for head, k, name, p, value in self.rows()
        ]
        return "; ".join([self._title(Path(self.source).name), *said])

    def to_dict(self):
        """Give the same as plain data."""
        heads = {}
        for head, _, name, p, value in self.rows():
            answer = heads.setdefault(head, {"probabilities": {}, "recorded": None})
            answer["probabilities"][name] = p
            answer["recorded"] = {"value": value, "class": name} if value else answer["recorded"]
        return {"source": self.source, "reason": self.reason or None, "heads": heads or None}

    def _title(self, name):
        # it may hold what no terminal should get: escape codes, bytes that are no text
        name = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
        said = f"EXIF not recorded ({self.reason})" if self.probabilities else self.reason
        return f"{name}: {said}" if self.reason else name


def predict(photos, *, heads=None, progress=False):
    """Give each head's probabilities for each photograph.

    Parameters
    ----------
    photos : path, array or mapping, or a sequence of them
        Files (RAW, JPEG, PNG, TIFF); developed (H, W, 3) uint8 arrays; uploaded files as
        `ipywidgets.FileUpload` gives them, with a "name" and a "content" of bytes.
    heads : path, optional
        A ``.safetensors`` of `train_heads`; RAW is then developed as `prepare` does it unasked.
        None: the project's own network with its own small heads, and RAW at full size.
    progress : bool
        Show a bar.

    Returns
    -------
    list of Prediction
        One a photograph, in order. What cannot be used is among them, without probabilities.

    Raises
    ------
    ValueError
        If `photos` holds something else; if `heads` is no such file, or of other classes.
    OSError, RuntimeError
        If `heads` is not there; if weights cannot be had.
    """
    one = isinstance(photos, str | os.PathLike | Mapping | np.ndarray)
    model = _published() if heads is None else _trained(heads)
    bar = tqdm([photos] if one else list(photos), unit="photo", disable=not progress)
    return [_predict_one(model, photo, f"photograph {i}") for i, photo in enumerate(bar, 1)]


def track_record(heads=None):
    """Say in a line how often the network was right, by the record of those who judged it.

    `heads` as for `predict`; what ``summary.json`` beside them says is given.
    """
    if heads is None:
        run = recorded_run("backbone")
        judged = {f"{run['judged']:,} new simulated photographs": run["backbone"]}
        judged[f"{run['real']['photographs']:,} real ones"] = run["real"]["as_it_is"]
    else:
        note = Path(heads).with_name("summary.json")
        if not note.is_file():
            return f"How often these heads are right is not recorded: there is no {note}."
        try:
            found = json.loads(note.read_text("utf-8"))
            kept = {head: found["heads"][head] for head in HEADS}
            judged = {f"{found['n_val']:,} photographs kept back in training": kept}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{note} is no summary of `photopilot train`: {error!r}") from error
    said = []
    for of, table in judged.items():
        right, common = (
            "/".join(f"{100 * table[head][key]:.1f}" for head in HEADS)
            for key in ("accuracy", "majority")
        )
        worse = [head for head in HEADS if table[head]["accuracy"] < table[head]["majority"]]
        warning = f", so do not trust its {', '.join(worse)} there" if worse else ""
        said.append(f"{right} % of {of} (always the commonest class: {common} %){warning}")
    return f"How often it is right about {'/'.join(HEADS)}: {'; '.join(said)}."


@cache
def _published():
    features = ThreeHeads("vgg16", "camera").features
    heads = _read(repository_file(CAMERA_HEADS))[1]

    def model(x):
        z = features(x).mean(dim=(2, 3))  # (B, 3, H, W) -> (B, 512, h, w) -> (B, 512)
        return {h: z @ heads[f"{h}.weight"].T + heads[f"{h}.bias"] for h in HEADS}

    return model


def _trained(heads):
    if not Path(heads).is_file():
        raise FileNotFoundError(f"heads must be a file of `photopilot train`, got {heads}")
    about, today = read_heads_metadata(heads), {h: list(b.names) for h, b in HEADS.items()}
    if about["classes"] != today:
        raise ValueError(
            f"heads must be of `photopilot train` and know the classes {today}, got {heads} with "
            f"{about['classes'] or 'none'}: train again, or leave heads out for the project's own"
        )
    if about["outputs"] != "classes":
        raise ValueError(f"heads must answer classes, got {heads}, which answers in stops")
    weights = "random" if about["whole"] else about["weights"]  # the file may bring its own
    model = ThreeHeads(about["backbone"], weights, seed=about["seed"] or 0)
    return load_heads(model, heads).eval()


def _predict_one(model, photo, number):
    if isinstance(photo, str | os.PathLike):
        return _from_file(model, photo, str(photo))
    if isinstance(photo, Mapping) and {"name", "content"} <= photo.keys():
        suffix = Path(photo["name"]).suffix.lower()
        with tempfile.TemporaryDirectory() as folder:
            # only the suffix of a stranger's name is used: the rest may be "../" or nothing
            path = Path(folder, f"upload{suffix if suffix in PHOTO_SUFFIXES else ''}")
            path.write_bytes(photo["content"])
            return _from_file(model, path, photo["name"])
    if isinstance(photo, np.ndarray) and photo.dtype == np.uint8 and photo.shape[2:] == (3,):
        return _answer(model, photo, number, None, "no exposure record: an array has no EXIF")
    came = f"{photo.shape} {photo.dtype}" if isinstance(photo, np.ndarray) else type(photo).__name__
    raise ValueError(
        f"{number} must be a path, a developed (H, W, 3) uint8 array, or an uploaded file's "
        f'{{"name": ..., "content": ...}}, got {came}'
    )


def _from_file(model, path, source):
    try:
        photo = develop(path)
        halved = is_raw(path) and min(photo.shape[:2]) >= _HALVED_FROM
        if halved and isinstance(model, ThreeHeads):
            photo = develop(path, half_size=True)
    except UnusablePhoto as error:
        return Prediction(source, {}, reason=f"{error.reason}: {error.detail}")
    try:
        return _answer(model, photo, source, read_exposure(path), "")
    except UnusablePhoto as error:
        return _answer(model, photo, source, None, f"{error.reason}: {error.detail}")


def _answer(model, photo, source, record, reason):
    height, width = photo.shape[:2]
    if min(height, width) < CROP:
        seen = f"{width} x {height} pixels; the network sees {CROP} x {CROP}"
        return Prediction(source, {}, reason=f"too small: {seen}")
    top, left = (height - CROP) // 2, (width - CROP) // 2
    crop = torch.from_numpy(np.array(photo[top : top + CROP, left : left + CROP]))
    with torch.inference_mode():
        logits = model(standardise(crop.permute(2, 0, 1)[None]))  # each (1, 3)
    p = {head: z[0].double().softmax(dim=0).numpy() for head, z in logits.items()}
    if not all(np.isfinite(values).all() for values in p.values()):
        raise ValueError(f"the network's answer to {source} is {p}: its weights are not finite")
    step = -(-max(height, width) // _LOOKED_AT)
    return Prediction(source, p, record, reason, photo[::step, ::step].copy(), step)
