"""Hundreds of thousands of simulated photographs in one array, for training a whole backbone.

`simulated_photographs` keeps a RAW file and a PNG of each, to be looked at. Here only pixels and
classes stay, on the same path: camera -> DNG -> `develop`.
"""

import io
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pp_lib.camera.dng import write_dng
from pp_lib.camera.scene import picture_shape
from pp_lib.camera.simulate import _take_one  # photo i alone: `simulate` always begins at 0
from pp_lib.photos.bins import labels
from pp_lib.photos.develop import develop
from pp_lib.photos.files import write_atomically
from pp_lib.photos.journal import code_fingerprint, locked
from pp_lib.photos.pool import n_cores

IMAGES, LABELS, PARTS, MADE_WITH = "images.npy", "labels.npy", "parts", "made_with.json"
CHUNK = 64  # scenes: seconds of work, all that a kill can cost a worker
_CODE = ("camera", *(f"photos/{name}.py" for name in ("bins", "develop", "files")))
_CODE += ("../pp_pretrain/scenes.py",)  # this file, as seen from pp_lib


@dataclass(frozen=True)
class Scenes:
    """Developed photographs of the simulated camera.

    Attributes
    ----------
    images : (n, 3, size, size) uint8
        sRGB; from `render_scenes` mapped from the disk, read-only.
    labels : (n, 3) int64
        Classes in the order of `HEADS`.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def render_scenes(n: int, seed: int, size: int, out, *, workers=None, progress=True) -> Scenes:
    """Take, develop and keep n photographs; go on where an earlier call was stopped.

    Parameters
    ----------
    n : int
        At least 1.
    seed : int
        Photograph i depends on (seed, i, size) alone, not on n or the workers.
    size : int
        Side in pixels, even, at least 32. Every pixel stays as the camera gave it.
    out : path-like
        A folder of its own: images.npy, labels.npy and, until it is done, parts/.
    workers : int, optional
        Processes; as many as there are cores if None.
    progress : bool
        Show a bar.

    Returns
    -------
    Scenes

    Raises
    ------
    ValueError
        If an argument is out of range, or `out` holds other scenes than those asked for.
    RuntimeError
        If another process is at work in `out`, or a worker died.
    OSError
        If the disk is full: what is finished stays.
    """
    for name, value, least in (("n", n, 1), ("seed", seed, 0), ("workers", workers or 1, 1)):
        if not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number >= {least}, got {value!r}")
    picture_shape(size)  # says what is wrong with a size
    out = Path(out)
    with locked(out):
        _check_made_with(
            out, {"n": n, "seed": seed, "size": size, "code": code_fingerprint(*_CODE)}
        )
        if not (out / LABELS).is_file():  # the last file to be written
            _render(out, n, seed, size, workers or n_cores(), progress)
        shutil.rmtree(out / PARTS, ignore_errors=True)
    return Scenes(np.load(out / IMAGES, mmap_mode="r"), np.load(out / LABELS))


def _check_made_with(out: Path, made_with: dict) -> None:
    note = out / MADE_WITH
    if not note.is_file():
        write_atomically(note, json.dumps(made_with, indent=2).encode())
        return
    found = json.loads(note.read_text("ascii"))
    differ = [f"{k} {found.get(k)!r}, not {v!r}" for k, v in made_with.items() if found.get(k) != v]
    if differ:
        raise ValueError(
            f"{out} holds scenes made with {', '.join(differ)}: name another folder, or delete it"
        )


def _render(out: Path, n: int, seed: int, size: int, workers: int, progress: bool) -> None:
    from tqdm.auto import tqdm

    parts, images = out / PARTS, out / IMAGES
    parts.mkdir(exist_ok=True)
    if not images.is_file():
        # at its full length from the start, so that each worker writes at a place of its own
        begun, shape = out / f"{IMAGES}.begun", (n, 3, size, size)
        np.lib.format.open_memmap(begun, mode="w+", dtype=np.uint8, shape=shape).flush()
        os.replace(begun, images)
    # A chunk's labels are written after its images, and atomically: a chunk that has them is done.
    chunks = [(parts / f"{first:09d}.npy", first) for first in range(0, n, CHUNK)]
    jobs = [
        (images, part, seed, first, min(CHUNK, n - first), size)
        for part, first in chunks
        if not part.is_file()
    ]
    left = sum(job[4] for job in jobs)
    bar = tqdm(total=n, initial=n - left, desc="scenes", unit="photo", disable=not progress)
    with bar:
        for count in _results(jobs, workers):
            bar.update(count)
    _save(out / LABELS, np.concatenate([np.load(part) for part, _ in chunks]))


def _results(jobs: list, workers: int):
    if workers == 1 or len(jobs) < 2:
        yield from map(_render_chunk, jobs)
        return
    # spawn: a forked copy of a process with running threads (torch's) can hang
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_start_worker
    )
    try:
        for future in as_completed([executor.submit(_render_chunk, job) for job in jobs]):
            yield future.result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process ended early; the same call goes on from what is finished. In a "
            "script, call render_scenes under `if __name__ == '__main__':`"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker() -> None:
    # LibRaw's own threads would compete with the other workers
    os.environ["OMP_NUM_THREADS"] = "1"

    def end_with_parent():
        multiprocessing.parent_process().join()
        os._exit(1)  # a killed parent cannot ask; the worker would wait for ever

    threading.Thread(target=end_with_parent, daemon=True).start()


def _render_chunk(job) -> int:
    images, part, seed, first, count, size = job
    pixels = np.empty((count, 3, size, size), np.uint8)
    classes = np.empty((count, 3), np.int64)
    # in a place that is emptied at the end: a kill leaves its file there
    with tempfile.TemporaryDirectory(dir=part.parent) as folder:
        dng = Path(folder) / "scene.dng"
        for k in range(count):
            photograph = _take_one((seed, first + k, (size, size)))
            write_dng(dng, photograph)
            pixels[k] = develop(dng).transpose(2, 0, 1)  # (H, W, 3) -> (3, H, W)
            classes[k] = list(labels(photograph.settings).values())
    # written and not mapped: on a full disk a write fails, where a mapped page kills the process
    with open(images, "r+b") as file:
        file.seek(_offset(images, size, first))
        file.write(pixels.data)
    _save(part, classes)
    return count


def _offset(images: Path, size: int, first: int) -> int:
    return np.load(images, mmap_mode="r").offset + first * 3 * size**2


def _save(path: Path, array: np.ndarray) -> None:
    stream = io.BytesIO()
    np.save(stream, array)
    write_atomically(path, stream.getvalue())
