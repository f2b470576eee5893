"""`photopilot` in a shell: a mistake is answered in words, at once, and nothing stays half done."""

import errno
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from pp_lib import cli
from pp_lib.nn import Linear
from pp_lib.photos import HEADS
from pp_lib.photos.journal import locked
from pp_lib.photos.prepare import prepare, read_manifest
from pp_lib.train import ThreeHeadVGG16, predict
from pp_lib.train.repository import in_checkout

EXPOSURE, F_NUMBER, EXPOSURE_TIME, ISO = 0x8769, 0x829D, 0x829A, 0x8827


@pytest.fixture
def photopilot(monkeypatch, capsys, tmp_path):
    """Run the command as the console script does; give exit status, output, complaint."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHOTOPILOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")  # so that no message is wrapped

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["photopilot", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:  # any other exception would be a traceback
            cli.main()
        said = capsys.readouterr()
        return stop.value.code, said.out, said.err

    return run


@pytest.fixture
def refused(photopilot):
    """Run the command, which must refuse; give what it says."""

    def run(*arguments):
        code, _, complaint = photopilot(*arguments)
        assert code == 2, complaint
        assert "Traceback" not in complaint
        return complaint.splitlines()[-1] if "photopilot: " in complaint else complaint

    return run


def write_photos(folder, n, side=130):
    folder.mkdir(parents=True)
    for i in range(n):
        pixels = np.random.default_rng(i).integers(0, 256, (side, side, 3), dtype=np.uint8)
        exif, wide = Image.Exif(), i % 2
        exif[EXPOSURE] = {
            F_NUMBER: IFDRational((2, 16)[wide]),
            EXPOSURE_TIME: IFDRational(1, (1000, 4)[wide]),
            ISO: (100, 3200)[wide],
        }
        Image.fromarray(pixels).save(folder / f"{i}.jpg", exif=exif)
    return folder


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos", 12)


@pytest.fixture
def prepared(photos, tmp_path):
    prepare(photos, tmp_path / "out", size=128, progress=False)
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("simulate out --size 0", "--size.*32"),
        ("simulate out --size 33", "size must be even.*got 33"),
        ("simulate out --size 10000000", "--size.*8192"),
        ("simulate out --size wide", "--size.*integer"),
        ("simulate out --n 0", "--n.*1"),
        ("simulate out --n 1000000000000", "--n.*100000"),
        ("simulate out --seed -1", "--seed.*0"),
        ("simulate out --workers 0", "--workers.*1"),
        ("prepare nowhere out", "expected a folder of photographs, got nowhere"),
        ("prepare photos/0.jpg out", "expected a folder of photographs, got photos"),
        ("prepare photos photos", "out must be a folder of its own"),
        ("prepare photos out --size 0", "--size.*32"),
        ("prepare photos out --fit stretch", "fit must be one of.*got 'stretch'"),
        ("prepare photos out --workers 0", "--workers.*1"),
        ("train nowhere", "no manifest.csv in nowhere: prepare the photographs first"),
        ("train photos", "no manifest.csv in photos: prepare the photographs first"),
        ("train photos --lr 0", "--lr.*greater"),
        ("train photos --lr nan", "--lr"),
        ("train photos --epochs 0", "--epochs.*1"),
        ("train photos --views 0", "--views.*1"),
        ("train photos --batch-size 0", "--batch-size.*1"),
        ("train photos --seed -1", "--seed.*0"),
        ("train photos --weights mine", "weights must be one of.*got 'mine'"),
        ("train --simulated 2", "--simulated.*32"),
        ("predict", "(?i)missing argument 'files"),
        ("predict photos/0.jpg --heads nowhere", "heads must be a file of .*train.*got nowhere"),
        ("predict photos/0.jpg --heads photos", "heads must be a file of .*train.*got photos"),
        ("predict photos/0.jpg --heads photos/1.jpg", "photos/1.jpg is no safetensors file"),
        ("verify --photos nowhere", "no manifest.csv in nowhere: prepare the photographs first"),
        ("verify --photos photos", "no manifest.csv in photos: prepare the photographs first"),
    ],
)
def test_nonsense_is_named_and_leaves_no_file(refused, photos, tmp_path, arguments, words):
    before = set(photos.iterdir())
    complaint = refused(*arguments.split())
    assert re.search(words, complaint), complaint
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["simulate {out} --n 1 --size 32", "prepare photos {out}"])
@pytest.mark.parametrize("out", ["afile", "afile/below", "circle", "/proc/photopilot"])
def test_an_out_that_cannot_be_written_to(refused, photos, tmp_path, command, out):
    (tmp_path / "afile").write_text("mine")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    complaint = refused(*command.format(out=out).split())
    assert "out must be a folder" in complaint or "Symlink loop" in complaint
    assert (tmp_path / "afile").read_text() == "mine"


@pytest.mark.parametrize("out", ["afile", "/proc/photopilot"])
def test_training_learns_before_and_not_after_that_it_cannot_write(
    refused, prepared, tmp_path, monkeypatch, out
):
    (tmp_path / "afile").write_text("mine")
    monkeypatch.setattr("pp_lib.train.train_heads", None, raising=False)  # a call would raise
    assert "out must be a folder to write in" in refused("train", prepared, "--out", out)


@pytest.mark.parametrize(
    "mistake",
    [
        MemoryError("Unable to allocate"),
        FloatingPointError("the loss is nan"),
        OSError(28, "No space left"),
    ],
)
def test_what_goes_wrong_in_training_is_one_line(refused, prepared, monkeypatch, mistake):
    def fails(*_, **__):
        raise mistake

    monkeypatch.setattr("pp_lib.train.train_heads", fails, raising=False)
    assert refused("train", prepared) == f"photopilot: {mistake}"


def test_an_empty_folder_is_no_mistake_until_training(photopilot, refused, tmp_path):
    (tmp_path / "photos").mkdir()
    code, said, _ = photopilot("prepare", "photos", "out")
    assert (code, "0 found = 0 usable + 0 rejected" in said) == (0, True)
    assert "split into fewer parts" in refused("train", "out")


@pytest.mark.parametrize(("folder", "out"), [(".", "out"), ("photos", "."), ("photos", "new/out")])
def test_one_folder_inside_the_other(photopilot, photos, folder, out):
    for _ in range(2):  # the second run must not find what the first one wrote
        code, said, _ = photopilot("prepare", folder, out, "--size", 64)
        assert (code, "12 found = 12 usable + 0 rejected" in said) == (0, True)


def test_two_at_once(refused, photos, tmp_path):
    with locked(tmp_path / "out"):
        assert "another process is preparing" in refused("prepare", photos, "out")


def damage(prepared, how):
    manifest, rows = prepared / "manifest.csv", read_manifest(prepared)
    text = manifest.read_text()
    if how == "image missing":
        (prepared / rows[0].image).unlink()
    elif how == "image cut":
        (prepared / rows[0].image).write_bytes((prepared / rows[0].image).read_bytes()[:500])
    elif how == "class changed":
        classes, wrong = "{},{},{}".format(*rows[0].labels), "1,1,1"
        manifest.write_text(text.replace(f",{classes},", f",{wrong},", 1))
    else:
        manifest.write_text(text[: len(text) // 2])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("image missing", "names 1 image(s) that are not there"),
        ("image cut", ".png: "),
        ("class changed", "line 2: aperture/iso/shutter classes (1, 1, 1) do not follow"),
        ("manifest cut", "expected 17 fields"),
    ],
)
def test_a_prepared_folder_that_was_damaged(refused, prepared, how, words):
    damage(prepared, how)
    complaint = refused("train", prepared, "--batch-size", 4)
    assert words in complaint
    assert "prepare again" in complaint


def test_fewer_photographs_than_a_batch(refused, prepared):
    complaint = refused("train", prepared, "--views", 1, "--epochs", 1)
    assert "batch_size must be from 1 to the 10 rows of train, got 32" in complaint


def test_one_photograph(refused, tmp_path):
    prepare(write_photos(tmp_path / "photos", 1), tmp_path / "out", size=128, progress=False)
    assert "split into fewer parts" in refused("train", "out")


def test_a_class_without_a_photograph_in_a_part_is_said(refused, tmp_path):
    prepare(write_photos(tmp_path / "photos", 2), tmp_path / "out", size=128, progress=False)
    with pytest.warns(UserWarning, match="no photograph of aperture class 0 .* in part"):
        refused("train", "out", "--how", "random", "--views", 1)  # and then: 1 is less than a batch


def test_predict_answers_what_it_can_and_names_the_rest(photopilot, photos, tmp_path):
    whole = (photos / "1.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (200, 100)).save(photos / "small.png")
    Image.new("RGB", (200, 200)).save(photos / "screenshot.png")
    files = ["photos/0.jpg", "photos", "photos/cut.jpg", "photos/small.png", "nowhere.jpg",
             "photos/screenshot.png", "photos/1.jpg"]  # fmt: skip
    code, said, complaint = photopilot("predict", *files)
    assert code == 1
    assert [line for line in complaint.splitlines() if line.startswith("photopilot: ")] == [
        "photopilot: photos: not a file: a folder",
        "photopilot: photos/cut.jpg: damaged: a JPEG without an end: its lower part is missing",
        "photopilot: photos/small.png: too small: 200 x 100 pixels; the network sees 128 x 128",
        "photopilot: nowhere.jpg: unreadable: No such file or directory",
    ]
    *panels, closing = said.rstrip().split("\n\n")
    assert [panel.splitlines()[0] for panel in panels] == [
        "photos/0.jpg",
        "photos/screenshot.png: EXIF not recorded (no exposure record: no EXIF at all)",
        "photos/1.jpg",
    ]
    for panel in panels:
        rows = re.findall(r"^  (\w*) .*? (\d+) %(.*)$", panel, flags=re.MULTILINE)
        assert [head for head, _, _ in rows if head] == list(HEADS)
        percent = np.array([int(p) for _, p, _ in rows]).reshape(3, 3)
        assert (abs(percent.sum(axis=1) - 100) <= 1).all()  # rounded
    marks = [re.findall("◀ EXIF: (.*)", panel) for panel in panels]
    assert marks == [["f/2", "ISO 100", "1/1000 s"], [], ["f/16", "ISO 3200", "1/4 s"]]
    figures = json.loads(in_checkout("data/runs/backbone.json").read_text())["real"]["as_it_is"]
    right = "/".join(f"{100 * figures[head]['accuracy']:.1f}" for head in HEADS)
    assert f"{right} % of 216 real ones" in closing
    assert "do not trust" in closing


def test_predict_for_a_program(photopilot, photos):
    code, said, _ = photopilot("predict", "photos/0.jpg", "photos", "--json")
    told = json.loads(said)
    good, bad = told["photographs"]
    assert (code, bad["heads"], bad["reason"]) == (1, None, "not a file: a folder")
    for head, answer in good["heads"].items():
        assert list(answer["probabilities"]) == list(HEADS[head].names)
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-12)
    recorded = [answer["recorded"]["value"] for answer in good["heads"].values()]
    assert recorded == ["f/2", "ISO 100", "1/1000 s"]
    assert "of 216 real ones" in told["track_record"]
    code, said, _ = photopilot("predict", "photos/0.jpg", "--json")
    assert (code, json.loads(said)["photographs"]) == (0, [good])


def test_predict_with_the_heads_that_train_has_written(photopilot, refused, prepared, tmp_path):
    train = ["train", prepared, "--epochs", 1, "--views", 1, "--batch-size", 4]
    assert photopilot(*train)[0] == 0
    heads = tmp_path / "runs" / "last" / "heads.safetensors"
    code, said, _ = photopilot("predict", "photos/3.jpg", "--heads", heads)
    assert code == 0
    n_val = json.loads(heads.with_name("summary.json").read_text())["n_val"]
    assert f"of {n_val} photographs kept back in training" in said
    (own,) = predict("photos/3.jpg", heads=heads)
    assert own.panel() in said
    assert own.panel() != predict("photos/3.jpg")[0].panel()
    heads.with_name("summary.json").write_text("{}")
    complaint = refused("predict", "photos/3.jpg", "--heads", heads)
    assert "summary.json is no summary of `photopilot train`" in complaint
    heads.write_bytes(heads.read_bytes()[:1000])
    heads.with_name("summary.json").unlink()
    complaint = refused("predict", "photos/3.jpg", "--heads", heads)
    assert "is no safetensors file, or a damaged one" in complaint


def test_a_file_whose_name_is_no_text(photos, tmp_path):
    """In a process of its own: pytest's streams would take what a terminal does not."""
    name = b"caf\xe9\x1b[31m.jpg"
    os.rename(photos / "0.jpg", os.path.join(os.fsencode(photos), name))
    command = [sys.executable, "-c", "from pp_lib.cli import main; main()", "predict"]
    run = subprocess.run(
        [*map(os.fsencode, command), b"photos/" + name, b"\xff.jpg"],
        cwd=tmp_path, capture_output=True,
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stdout.decode().startswith("photos/caf\ufffd\ufffd[31m.jpg\n  aperture ")
    assert "\ufffd.jpg: unreadable: No such file" in run.stderr.decode()


def test_one_backbone_unless_another_is_asked_for():
    weights = [inspect.signature(f).parameters["weights"].default for f in (cli.train, cli.verify)]
    assert weights == ["camera", "camera"]


def test_verify_prints_every_array_and_their_sum(photopilot, prepared):
    code, said, _ = photopilot("verify", "--photos", prepared)
    head, *rows, total, verdict = said.splitlines()
    assert code == 0
    assert head.split() == ["array", "shape", "derivatives", "relative", "error", "ties"]
    expected = [(n, f"{p.numel():,}") for n, p in ThreeHeadVGG16("random").named_parameters()]
    cells = [row.replace(", ", ",").split() for row in rows]  # a shape is one cell
    assert [(cell[0], cell[2]) for cell in cells] == expected
    assert max(float(cell[3]) for cell in cells) < 1e-10
    assert total.split()[:4] == ["total", "36", "arrays", "27,693,897"]
    assert re.fullmatch("float64: worst relative error .*e-1., allowed 1e-10: they agree", verdict)


def test_verify_fails_for_an_error_of_a_thousandth(photopilot, prepared, monkeypatch):
    honest = Linear.backward
    monkeypatch.setattr(Linear, "backward", lambda self, dy: np.float32(1.001) * honest(self, dy))
    code, said, _ = photopilot("verify", "--photos", prepared, "--dtype", "float32")
    assert code == 1
    assert re.search(r"float32: worst .* \d\.\de-03, allowed 0.0001: they do NOT agree", said), said
    assert "features.0.weight" in said  # the table shows where


def test_verify_refuses(refused, prepared, tmp_path):
    assert "weights must be one of" in refused("verify", "--photos", prepared, "--weights", "mine")
    complaint = refused("verify", "--photos", prepared, "--dtype", "float16")
    assert "dtype must be float64 or float32, got float16" in complaint
    prepare(write_photos(tmp_path / "one", 1), tmp_path / "few", size=128, progress=False)
    assert "few must hold 2 photographs or more, got 1" in refused("verify", "--photos", "few")


LIMITED = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000));"
    "from pp_lib.cli import main; main()"
)


@pytest.mark.parametrize(
    "command", ["simulate out --n 2 --size 64 --workers 1", "prepare photos out --size 64"]
)
def test_a_full_disk(photos, tmp_path, command):
    """The kernel's own limit on a file's size, in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, *command.split()],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 2
    assert "File too large" in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
    left = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(left) == ([] if command.startswith("sim") else [".journal.jsonl", ".lock"])


# A shell that starts tests in the background has them ignore Ctrl-C, and a busy machine may look
# away for longer than 25 small photographs take.
INTERRUPTIBLE = """
import signal, time
from pp_lib.cli import main
from pp_lib.photos import job
signal.signal(signal.SIGINT, signal.default_int_handler)
read = job.read_exposure
job.read_exposure = lambda path: time.sleep(0.2) or read(path)
main()
"""


def test_control_c_and_then_to_the_end(tmp_path):
    folder, out = write_photos(tmp_path / "photos", 30, side=500), tmp_path / "out"
    command = [sys.executable, "-c", INTERRUPTIBLE, "prepare", folder, out, "--size", "480"]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and len(list(out.glob("images/[!.]*"))) < 5:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGINT)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130, "it ended before it could be interrupted"
    assert "Traceback" not in complaint
    assert not (out / "manifest.csv").exists()
    assert not list(out.glob("images/.*"))
    assert prepare(folder, out, size=480, progress=False).reused > 0
    prepare(folder, tmp_path / "fresh", size=480, progress=False)
    for path in (tmp_path / "fresh").rglob("[!.]*"):
        if path.is_file():
            assert (out / path.relative_to(tmp_path / "fresh")).read_bytes() == path.read_bytes()


def test_a_disk_that_fills_while_the_heads_are_written(refused, prepared, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pp_lib.train.checkpoint.write_atomically", full)
    complaint = refused("train", prepared, "--batch-size", 4, "--epochs", 1, "--views", 1)
    assert "cannot write runs/last/heads.safetensors: [Errno 28] No space left" in complaint
    left = {path.name for path in (tmp_path / "runs" / "last").iterdir()}
    assert left <= {".lock", "checkpoints"}  # what --resume goes on from, and no half of a result
