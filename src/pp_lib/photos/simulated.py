"""Photographs of the simulated camera, made once and kept in the user's cache.

simulate -> write_dng -> prepare: from the DNG on, the same path as real photographs take.
"""

import multiprocessing
import os
import shutil
import tempfile
from pathlib import Path

from pp_lib.photos.journal import code_fingerprint, locked
from pp_lib.photos.manifest import MANIFEST
from pp_lib.photos.prepare import CODE, prepare

CACHE_VARIABLE = "PHOTOPILOT_CACHE"
_UNFINISHED = ".making-"


def cache_folder() -> Path:
    """Give the folder for what can be made again: $PHOTOPILOT_CACHE, or the system's place."""
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE]).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("photopilot"))


def simulated_photographs(n: int, *, seed: int = 0, size: int = 256, progress: bool = True) -> Path:
    """Give a prepared folder of simulated photographs, making it on first use.

    The folder's name holds a hash of the camera's and the preparation's code: changed code never
    serves old pictures. Two processes may ask at once; one makes, the other waits.

    Parameters
    ----------
    n : int
        How many; at least 1.
    seed : int
        Of the camera: photograph i depends on (seed, i, size) alone.
    size : int
        Side in pixels of the sensor and of the small pictures; even.
    progress : bool
        Show bars.

    Returns
    -------
    pathlib.Path
        As `prepare` writes it, and the RAW files in its subfolder dng/.

    Raises
    ------
    ValueError
        If `n` or `size` is none that exists.
    RuntimeError
        If a script calls this without a `__main__` guard; if a simulated photograph was rejected,
        which would be a mistake of ours.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1 photograph, got {n}")
    code = code_fingerprint("camera", *CODE, "photos/simulated.py")
    cache = cache_folder()
    folder = cache / f"simulated-n{n}-seed{seed}-size{size}-{code}"
    if (folder / MANIFEST).is_file():
        return folder
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A spawned worker imports the script that spawned it (multiprocessing's own mark of that
        # moment). A call at the script's top level would wait for the lock that its parent holds.
        raise RuntimeError(
            "simulated photographs can only be made in the main process: in a script, call "
            'simulated_photographs under `if __name__ == "__main__":`'
        )
    with locked(cache, wait=True):
        if not (folder / MANIFEST).is_file():  # else another process has made it meanwhile
            _make(folder, n, seed, size, progress)
    return folder


def _make(folder: Path, n: int, seed: int, size: int, progress: bool) -> None:
    for leftover in folder.parent.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(leftover)  # of a killed process; no one else is at work, we hold the lock
    # in a folder of another name, which becomes the real one only when it is whole
    work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder.parent))
    try:
        _write_dngs(work / "dng", n, seed, size, progress)
        report = prepare(work / "dng", work, size=size, progress=progress)
        if report.usable != n:
            raise RuntimeError(f"of {n} simulated photographs not all are usable: {report}")
        if folder.exists():  # without a manifest: somebody's half-deleted folder
            shutil.rmtree(folder)
        os.replace(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write_dngs(folder: Path, n: int, seed: int, size: int, progress: bool) -> None:
    from pp_lib.camera import simulate, write_dng

    folder.mkdir()
    for i, photograph in enumerate(simulate(n, seed=seed, size=size, progress=progress)):
        write_dng(folder / f"{i:06d}.dng", photograph)
