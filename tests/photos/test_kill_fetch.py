"""kill -9 in the middle of fetching, with and without preparing: the same bytes in the end."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from pp_lib.photos import fetch, fetch_and_prepare, prepare

N = 16
PACE_S = 0.03  # for 1 kB: each of the 16 files takes 0.27 s, and two come at a time
MOST_S = 1.2  # after the first request; undisturbed, it takes 16 / 2 times 0.27 s
LONG_S = 60

FETCH = (
    "import sys; from pp_lib.photos import fetch;"
    "fetch(int(sys.argv[1]), sys.argv[2], base=sys.argv[3], accept_licence=True, connections=2,"
    " progress=False)"
)
STREAM = (
    "import sys; from pp_lib.photos import fetch_and_prepare;"
    "fetch_and_prepare(int(sys.argv[1]), sys.argv[2], sys.argv[4], base=sys.argv[3], size=32,"
    " accept_licence=True, connections=2, progress=False, delete_raw=True)"
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Simulated DNGs, each of its own."""
    from pp_lib.camera import simulate, write_dng

    folder = tmp_path_factory.mktemp("fivek")
    photos = simulate(N, seed=8, size=64, workers=1, progress=False)
    return {
        f"a{i:04d}": write_dng(folder / "one.dng", photo).read_bytes()
        for i, photo in enumerate(photos)
    }


def contents(folder):
    """Everything in a folder, byte for byte, but for journals, locks and the hour of agreement."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.name != "accepted.csv"
    }


class Killed:
    """Runs that are killed until `n_kills` were, in as many folders as that takes."""

    def __init__(self, code, server, tmp_path, seed):
        self.code, self.server, self.tmp_path = code, server, tmp_path
        self.rng = np.random.default_rng(seed)
        self.log, self.folders = [], []
        self.new_folder()

    def new_folder(self):
        n = len(self.folders)
        self.folders.append((self.tmp_path / f"out{n}", self.tmp_path / f"made{n}"))

    def run(self, delay_s):
        """Run until `delay_s` after its first request; say whether it had ended by itself."""
        out, made = self.folders[-1]
        n_before = len(self.server.log)
        command = [sys.executable, "-c", self.code, str(N), str(out), self.server.base, str(made)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with process:
            end = time.monotonic() + LONG_S
            while len(self.server.log) == n_before and process.poll() is None:
                assert time.monotonic() < end, "it asks for nothing"
                time.sleep(0.002)
            try:
                process.wait(delay_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            said = process.stderr.read().decode()
        assert process.returncode in {0, -signal.SIGKILL}, said
        return process.returncode == 0

    def state(self):
        out, made = self.folders[-1]
        parts = [path.stat().st_size for path in (out / ".parts").glob("*.part")]
        rows = out / ".fetched.jsonl"
        lines = [
            f"{rows.read_bytes().count(10) if rows.exists() else 0:2d} photographs whole",
            f"{len(parts)} parts of {sum(parts):5d} bytes",
        ]
        if made.exists():
            pictures = len(list((made / "images").glob("[!.]*.png")))
            lines.append(f"{pictures:2d} pictures, {len(list(out.glob('*.dng'))):2d} DNGs kept")
        return ", ".join(lines)

    def check_what_is_there(self, photographs):
        """Whatever moment it was: what has a whole file's name is whole."""
        for path in self.folders[-1][0].glob("*.dng"):
            assert path.read_bytes() == photographs[path.stem]

    def times(self, n_kills, photographs):
        """Kill so many times, and in between let them end that had too little left to do."""
        n = 0
        while n < n_kills:
            delay_s = self.rng.uniform(0, MOST_S)
            if self.run(delay_s):
                self.log.append(f"         {self.state()}: it ended by itself; a new folder")
                self.new_folder()
                continue
            n += 1
            self.check_what_is_there(photographs)
            self.log.append(f"kill {n:2d} after {delay_s:.3f} s: {self.state()}")
        assert self.run(LONG_S)
        self.log.append(f"to the end: {self.state()}; {len(self.folders)} folders")


def check_fetch(server, photographs, tmp_path, n_kills, seed):
    fetch(N, tmp_path / "calm", base=server.base, accept_licence=True, progress=False)
    expected = contents(tmp_path / "calm")
    server.pace_s = PACE_S
    killed = Killed(FETCH, server, tmp_path, seed)
    killed.times(n_kills, photographs)
    for out, _ in killed.folders:
        assert contents(out) == expected
        assert not (out / ".parts").exists()
    return killed


@pytest.mark.parametrize("n_kills", [2, pytest.param(20, marks=pytest.mark.long)])
def test_fetch_killed(server, photographs, tmp_path, n_kills):
    killed = check_fetch(server, photographs, tmp_path, n_kills, seed=n_kills)
    print("\n" + "\n".join(killed.log))  # noqa: T201  pytest -s shows the moments
    if n_kills == 20:
        ranges = [entry for entry in server.asked() if "Range" in entry[3]]
        assert ranges, "no run was killed in the middle of a file"


@pytest.mark.parametrize("n_kills", [2, pytest.param(20, marks=pytest.mark.long)])
def test_streaming_killed(server, photographs, tmp_path, n_kills):
    options = {"base": server.base, "accept_licence": True, "progress": False}
    fetch(N, tmp_path / "calm", **options)
    prepare(tmp_path / "calm", tmp_path / "prepared", size=32, progress=False)
    server.pace_s = PACE_S
    killed = Killed(STREAM, server, tmp_path, seed=100 + n_kills)
    killed.times(n_kills, photographs)
    print("\n" + "\n".join(killed.log))  # noqa: T201
    for out, made in killed.folders:
        assert contents(made) == contents(tmp_path / "prepared")
        assert not list(out.glob("*.dng"))
        # and nobody prepares away what was deleted
        report = prepare(out, made, size=32, progress=False)
        assert (report.found, report.usable) == (N, N)
        assert contents(made) == contents(tmp_path / "prepared")


# dies just before its kth look at, or change of, a file that is ours
AT_STEP = """
import os, signal, sys
left = int(sys.argv[5])
def hook(event, args):
    global left
    if event in {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}:
        if str(args[0]).startswith((sys.argv[2], sys.argv[4])):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""


@pytest.mark.parametrize("stride", [40, pytest.param(1, marks=pytest.mark.long)])
def test_killed_at_every_step(server, photographs, tmp_path, stride):
    """Not at random: at each step from one state of the folders to the next."""
    n, options = 2, {"base": server.base, "accept_licence": True, "progress": False}
    fetch(n, tmp_path / "calm", **options)
    prepare(tmp_path / "calm", tmp_path / "prepared", size=32, progress=False)
    expected = contents(tmp_path / "prepared")
    step, ended = 1, False
    while not ended:
        out, made = tmp_path / f"out{step}", tmp_path / f"made{step}"
        arguments = [str(n), str(out), server.base, str(made), str(step)]
        run = subprocess.run(
            [sys.executable, "-c", AT_STEP + STREAM, *arguments],
            capture_output=True,
            check=False,
            timeout=LONG_S,
        )
        ended = run.returncode == 0
        assert ended or run.returncode == -signal.SIGKILL, run.stderr.decode()
        for path in out.glob("*.dng"):
            assert path.read_bytes() == photographs[path.stem]
        fetch_and_prepare(n, out, made, size=32, delete_raw=True, **options)
        assert contents(made) == expected, f"killed at step {step}"
        assert [path.name for path in out.rglob("*") if ".part" in path.name] == []
        assert not list(out.glob("*.dng"))
        step += stride
    print(f"\n{step - stride} steps")  # noqa: T201
    assert step > 60
