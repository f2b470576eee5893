"""What a network says about a photograph, against torchvision's layers, exifread and Pillow."""

import csv
import json
from fractions import Fraction

import exifread
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import IFDRational
from safetensors.torch import load_file
from torchvision.models import VGG16_Weights, vgg16
from torchvision.transforms.v2 import functional as transforms

from pp_lib.camera import simulate, write_dng
from pp_lib.photos import HEADS, ExposureRecord, PhotoDataset, eval_transform, prepare
from pp_lib.train import (
    Prediction,
    ThreeHeadVGG16,
    predict,
    prediction,
    recorded_run,
    save_heads,
    track_record,
)  # fmt: skip
from pp_lib.train.repository import CAMERA_HEADS, CAMERA_WEIGHTS, in_checkout

# float32 through 13 convolutions, one photograph or several at a time: the sums' order differs
SAME_NETWORK = {"rtol": 1e-3, "atol": 1e-5}
ONE = 1e-12  # three float64 numbers


@pytest.fixture(scope="module")
def reference():
    """Give the published network's probabilities, built from its two files and torchvision."""
    layers = vgg16(weights=None).features
    state = load_file(in_checkout(CAMERA_WEIGHTS))
    layers.load_state_dict({name: value.float() for name, value in state.items()})
    heads = load_file(in_checkout(CAMERA_HEADS))
    about = VGG16_Weights.IMAGENET1K_V1.transforms()

    def ask(*crops):  # (B, 128, 128, 3) uint8
        x = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2) / 255
        with torch.no_grad():
            z = layers(transforms.normalize(x, about.mean, about.std)).mean(dim=(2, 3))
        scores = (torch.nn.functional.linear(z, heads[f"{h}.weight"], heads[f"{h}.bias"])
                  for h in HEADS)  # fmt: skip
        return {h: torch.softmax(s, dim=1).numpy() for h, s in zip(HEADS, scores, strict=True)}

    return ask


@pytest.fixture(scope="module")
def own(frozen_model, tmp_path_factory):
    """Give a file of heads on a random backbone, and its model."""
    path = tmp_path_factory.mktemp("run") / "heads.safetensors"
    return save_heads(frozen_model, path), frozen_model


def pixels(height=200, width=170, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def middle(photo, side=128):
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    return photo[top : top + side, left : left + side]


def jpeg(path, photo, f_number=(8, 1), iso=400, exposure_time_s=(1, 60)):
    exif = Image.Exif()
    exif[0x8769] = {0x829D: IFDRational(*f_number), 0x8827: iso,
                    0x829A: IFDRational(*exposure_time_s)}  # fmt: skip
    Image.fromarray(photo).save(path, exif=exif)
    return path


def same(found, expected, i=0):
    """Compare probabilities with those of photograph i of a batch."""
    assert list(found) == list(HEADS)
    for head, p in found.items():
        np.testing.assert_allclose(p, expected[head][i], **SAME_NETWORK)


def softmax(logits):
    return {head: torch.softmax(z, dim=1).numpy() for head, z in logits.items()}


def test_a_file_against_torchvision_pillow_and_exifread(reference, tmp_path):
    path = jpeg(tmp_path / "a.jpg", pixels(131, 260))
    (answer,) = predict([path])
    with Image.open(path) as image:
        same(answer.probabilities, reference(middle(np.array(image))))
    with open(path, "rb") as stream:
        tags = exifread.process_file(stream)
    assert answer.source == str(path)
    assert answer.record.f_number == Fraction(str(tags["EXIF FNumber"]))
    assert answer.recorded == {
        "aperture": (1, f"f/{tags['EXIF FNumber']}"),
        "iso": (1, f"ISO {tags['EXIF ISOSpeedRatings']}"),
        "shutter": (1, f"{tags['EXIF ExposureTime']} s"),
    }
    assert answer.classes == {head: bins.names for head, bins in HEADS.items()}
    assert answer.reason == ""


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 300), st.integers(100, 600), st.integers(0, 99))
def test_an_array_of_any_shape(reference, height, width, seed):
    photo = pixels(height, width, seed)[::-1]  # not contiguous
    (answer,) = predict(photo)
    if min(height, width) < 128:
        assert answer.probabilities == {}
        assert answer.reason.startswith(f"too small: {width} x {height} pixels")
        return
    same(answer.probabilities, reference(middle(photo)))
    assert all(abs(p.sum() - 1) < ONE for p in answer.probabilities.values())
    assert answer.record is None
    assert "no EXIF" in answer.reason
    assert (answer.photo == photo[:: answer.step, :: answer.step]).all()
    assert max(answer.photo.shape) <= 512


def test_what_is_no_photograph_and_what_is(reference, tmp_path):
    folder, whole = tmp_path / "folder", pixels()
    folder.mkdir()
    Image.fromarray(whole).save(tmp_path / "no_exif.png")
    Image.fromarray(pixels(127, 400)).save(tmp_path / "small.png")
    jpeg(tmp_path / "f_zero.jpg", whole, f_number=(0, 1))
    good = jpeg(tmp_path / "good.jpg", whole).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no photograph")
    (tmp_path / "noise.nef").write_bytes(np.random.default_rng(0).bytes(3000))
    names = ["folder", "no_exif.png", "small.png", "f_zero.jpg", "cut.jpg", "empty.jpg",
             "text.jpg", "noise.nef", "nowhere.jpg", "good.jpg"]  # fmt: skip
    answers = dict(zip(names, predict([tmp_path / name for name in names]), strict=True))
    assert {name: answer.reason.split(":")[0] for name, answer in answers.items()} == {
        "folder": "not a file",
        "no_exif.png": "no exposure record",
        "small.png": "too small",
        "f_zero.jpg": "no aperture",
        "cut.jpg": "damaged",
        "empty.jpg": "empty file",
        "text.jpg": "not a photograph",
        "noise.nef": "not a photograph",
        "nowhere.jpg": "unreadable",
        "good.jpg": "",
    }
    answered = {name for name, answer in answers.items() if answer.probabilities}
    assert answered == {"no_exif.png", "f_zero.jpg", "good.jpg"}
    # a PNG keeps every pixel
    same(answers["no_exif.png"].probabilities, reference(middle(whole)))
    assert answers["no_exif.png"].recorded == {}
    assert "\n" not in answers["folder"].panel()


@pytest.mark.parametrize(
    ("photo", "came"),
    [
        (np.zeros((200, 200), np.uint8), r"\(200, 200\) uint8"),
        (np.zeros((200, 200, 4), np.uint8), r"\(200, 200, 4\) uint8"),
        (np.zeros((2, 200, 200, 3), np.uint8), r"\(2, 200, 200, 3\) uint8"),
        (np.zeros((200, 200, 3)), r"\(200, 200, 3\) float64"),
        (b"\xff\xd8\xff", "bytes"),
        (None, "NoneType"),
        ({"name": "a.jpg"}, "dict"),
    ],
)
def test_what_nobody_can_develop(photo, came):
    with pytest.raises(ValueError, match=f"photograph 2 must be .*got {came}"):
        predict([pixels(), photo])


@pytest.mark.parametrize("name", ["a.jpg", "../../a.JPG", "", "..", "a" * 5000, "a.\0", "\udcff"])
@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_an_upload_is_the_file_whatever_its_name(tmp_path, name, kind):
    path = jpeg(tmp_path / "a.jpg", pixels())
    (expected,) = predict(path)
    (answer,) = predict([{"name": name, "content": kind(path.read_bytes())}])
    assert answer.source == name
    for head, p in expected.probabilities.items():
        assert (answer.probabilities[head] == p).all()
    assert answer.record == expected.record
    answer.panel().encode()  # nothing in it that a terminal cannot take
    assert list(tmp_path.iterdir()) == [path]


def test_an_uploaded_raw_is_known_by_its_suffix(tmp_path):
    (photograph,) = simulate(1, seed=7, size=128, progress=False)
    path = write_dng(tmp_path / "a.dng", photograph)
    (answer,) = predict({"name": "A.DNG", "content": memoryview(path.read_bytes())})
    assert answer.record.iso == photograph.settings.iso
    assert answer.photo.shape == (128, 128, 3)
    (unknown,) = predict({"name": "a.txt", "content": path.read_bytes()})
    assert not unknown.probabilities


BEGINNINGS = (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
SUFFIXES = (".jpg", ".png", ".dng", ".tif", ".nef", "")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=20), st.sampled_from(SUFFIXES), st.sampled_from(BEGINNINGS), st.binary())
def test_any_bytes_get_a_reason(name, suffix, beginning, content):
    (answer,) = predict({"name": name + suffix, "content": beginning + content})
    assert not answer.probabilities
    assert answer.reason


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1))
def test_a_photograph_cut_anywhere(tmp_path_factory, share):
    path = jpeg(tmp_path_factory.mktemp("cut") / "a.jpg", pixels(140, 140))
    whole = path.read_bytes()
    content = whole[: int(share * len(whole))]
    (answer,) = predict({"name": "a.jpg", "content": content})
    assert bool(answer.probabilities) == (len(content) == len(whole))


def record(f_number=Fraction(28, 5), iso=100, exposure_time_s=Fraction(1, 250)):
    return ExposureRecord(f_number, iso, exposure_time_s, None, None, None, None, "exifread")


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=3, max_size=3))
def test_bars_are_as_long_as_the_probabilities(values):
    shares = np.array(values) + 1e-9
    p = dict(zip(HEADS, shares / shares.sum(axis=1, keepdims=True), strict=True))
    title, *lines = Prediction("a.jpg", p, record()).panel(bar=30).splitlines()
    assert title == "a.jpg"
    marks = ["EXIF: f/5.6", "EXIF: ISO 100", "EXIF: 1/250 s"]
    for line, value, k in zip(lines, np.concatenate(list(p.values())), range(9), strict=True):
        bar = line[40:70].rstrip()
        partial = "▏▎▍▌▋▊▉".find(bar[-1:]) + 1 if bar else 0
        length = 8 * bar.count("█") + partial
        assert abs(length - 240 * value) <= 0.5 + 1e-6  # eighths of a character
        assert line[70:].startswith(f"{100 * value:4.0f} %")
        marked = {1: marks[0], 3: marks[1], 7: marks[2]}.get(k, "")
        assert line[76:].strip(" ◀") == marked


@pytest.mark.parametrize(
    ("exposure_time_s", "shown"),
    [
        (Fraction(1, 8000), "1/8000 s"),
        (Fraction(30), "30 s"),
        (Fraction(3, 10), "0.3 s"),
        (Fraction(16667, 1000000), "0.0167 s"),
    ],
)
def test_exposure_times_as_people_write_them(exposure_time_s, shown):
    answer = Prediction("a", {}, record(exposure_time_s=exposure_time_s))
    assert answer.recorded["shutter"][1] == shown


def test_the_sentence_and_the_data_say_the_same():
    p = {head: np.array([0.25, 0.5, 0.25]) for head in HEADS}
    answer = Prediction("a.jpg", p, record())
    said = answer.describe()
    for low, medium, high in answer.classes.values():
        assert all(f"{name}, 25 %" in said for name in (low, high))
        assert f"{medium}, 50 %" in said
    assert "f/5.6 to f/11, 50 % (EXIF: f/5.6)" in said
    data = json.loads(json.dumps(answer.to_dict()))
    assert data["heads"]["shutter"] == {
        "probabilities": dict(zip(answer.classes["shutter"], (0.25, 0.5, 0.25), strict=True)),
        "recorded": {"value": "1/250 s", "class": answer.classes["shutter"][1]},
    }
    failed = Prediction("b\x1b[2J\udcff.jpg", {}, reason="damaged: half of it")
    assert failed.panel() == failed.describe() == "b\ufffd[2J\ufffd.jpg: damaged: half of it"
    assert failed.to_dict()["heads"] is None
    unknown = Prediction("c.png", p, reason="no exposure record: no EXIF at all")
    assert "EXIF not recorded (no exposure record: no EXIF at all)" in unknown.panel()
    assert unknown.to_dict()["heads"]["iso"]["recorded"] is None


def test_heads_of_ones_own(own, tmp_path):
    path, model = own
    photo = pixels(150, 150)
    with torch.no_grad():
        logits = model(eval_transform(128)(torch.from_numpy(photo).permute(2, 0, 1))[None])
    (answer,) = predict(photo, heads=path)
    same(answer.probabilities, softmax(logits))


@pytest.mark.parametrize(("size", "seen"), [(256, 256), (512, 256), (514, 257)])
def test_raw_is_developed_as_the_heads_have_seen_it(own, tmp_path, size, seen):
    (photograph,) = simulate(1, seed=7, size=size, progress=False)
    (tmp_path / "photos").mkdir()
    dng = write_dng(tmp_path / "photos" / "a.dng", photograph)
    (answer,) = predict(dng, heads=own[0])
    (published,) = predict(dng)
    assert answer.photo.shape[0] * answer.step in (seen, seen + 1)
    assert published.photo.shape[0] * published.step >= size  # every pixel that the camera has
    prepare(dng.parent, tmp_path / "out", progress=False)
    x, _ = PhotoDataset(tmp_path / "out", transform=eval_transform(128))[0]
    with torch.no_grad():
        logits = own[1](x[None])
    same(answer.probabilities, softmax(logits))


def test_heads_that_are_none(own, tmp_path, monkeypatch):
    for nowhere in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match="heads must be a file of `photopilot train`"):
            predict(pixels(), heads=nowhere)
    (tmp_path / "text").write_text("no numbers")
    with pytest.raises(ValueError, match="no safetensors file"):
        predict(pixels(), heads=tmp_path / "text")
    with pytest.raises(ValueError, match="with none: train again, or leave heads out"):
        predict(pixels(), heads=in_checkout(CAMERA_HEADS))
    monkeypatch.setitem(HEADS, "iso", HEADS["shutter"])
    with pytest.raises(ValueError, match="know the classes"):
        predict(pixels(), heads=own[0])


def test_heads_that_diverged(tmp_path):
    model = ThreeHeadVGG16("random")
    torch.nn.init.constant_(model.heads["iso"].bias, torch.nan)
    with pytest.raises(ValueError, match="answer to photograph 1 .* weights are not finite"):
        predict(pixels(), heads=save_heads(model, tmp_path / "heads.safetensors"))


def test_the_track_record_is_the_recorded_one():
    said, run = track_record(), recorded_run("backbone")
    for table, n in ((run["backbone"], "4,000"), (run["real"]["as_it_is"], "216")):
        right = "/".join(f"{100 * table[h]['accuracy']:.1f}" for h in HEADS)
        common = "/".join(f"{100 * table[h]['majority']:.1f}" for h in HEADS)
        assert f"{right} % of {n} " in said
        assert f"always the commonest class: {common} %" in said
    assert said.endswith("so do not trust its aperture, iso, shutter there.")
    assert said.count("do not trust") == 1


def test_another_record_is_another_sentence(monkeypatch):
    head = {"accuracy": 0.9, "majority": 0.5}
    table = {"aperture": head, "iso": head | {"accuracy": 0.4}, "shutter": head}
    real = {"photographs": 1, "as_it_is": dict.fromkeys(HEADS, head)}
    run = {"judged": 12, "backbone": table, "real": real}
    monkeypatch.setattr(prediction, "recorded_run", lambda name: run)
    assert track_record() == (
        "How often it is right about aperture/iso/shutter: 90.0/40.0/90.0 % of 12 new simulated "
        "photographs (always the commonest class: 50.0/50.0/50.0 %), so do not trust its iso "
        "there; 90.0/90.0/90.0 % of 1 real ones (always the commonest class: 50.0/50.0/50.0 %)."
    )


def test_heads_of_ones_own_have_their_own_record(tmp_path):
    heads = tmp_path / "heads.safetensors"
    assert "not recorded: there is no" in track_record(heads)
    head = {"accuracy": 0.75, "majority": 0.5}
    note = tmp_path / "summary.json"
    note.write_text(json.dumps({"n_val": 2000, "heads": dict.fromkeys(HEADS, head)}))
    assert "75.0/75.0/75.0 % of 2,000 photographs kept back in training" in track_record(heads)
    for wrong in ("{", "[]", '{"n_val": 3}', '{"n_val": 3, "heads": {}}'):
        note.write_text(wrong)
        with pytest.raises(ValueError, match=r"summary.json is no summary of `photopilot train`"):
            track_record(heads)


def labelled(folder):
    with open(folder / "labels.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_real_photographs(reference, shared_photos):
    rows = labelled(shared_photos)[::36]
    answers = predict([shared_photos / row["file"] for row in rows])
    crops = []
    for row in rows:
        with Image.open(shared_photos / row["file"]) as image:
            crops.append(middle(np.array(ImageOps.exif_transpose(image).convert("RGB"))))
    expected = reference(*crops)
    for i, (answer, row) in enumerate(zip(answers, rows, strict=True)):
        same(answer.probabilities, expected, i)
        assert float(answer.record.f_number) == pytest.approx(float(row["f_number"]), rel=1e-3)
        assert answer.record.iso == int(row["iso"])
        time_s = float(row["exposure_time_s"])
        assert float(answer.record.exposure_time_s) == pytest.approx(time_s, rel=1e-3)


@pytest.mark.long
def test_real_photographs_give_the_recorded_accuracies(shared_photos):
    answers = predict([shared_photos / row["file"] for row in labelled(shared_photos)])
    real = recorded_run("backbone")["real"]
    assert len(answers) == real["photographs"]
    for head in HEADS:
        right = [a.probabilities[head].argmax() == a.recorded[head][0] for a in answers]
        assert np.mean(right) == pytest.approx(real["as_it_is"][head]["accuracy"], abs=1e-12)
