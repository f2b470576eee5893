"""Photographs that something has gnawed at: every one is counted, none crashes or hangs `prepare`.

Input `number` follows from (SEED, number) and the photographs it is made from, so each can be made
again by `mutated`. PHOTOPILOT_FUZZ_SEED=n tries others. In `make test` as many as 60 s allow; the
10,000 with `pytest -m long -s tests/photos/test_fuzz.py`.
"""

import csv
import io
import json
import os
import struct
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pp_lib.photos.exif import EXPOSURE_TIME_RANGE_S, F_NUMBER_RANGE, ISO_RANGE
from pp_lib.photos.files import PHOTO_SUFFIXES, REASONS
from pp_lib.photos.manifest import read_manifest

SEED = int(os.environ.get("PHOTOPILOT_FUZZ_SEED", 6))
SIZE, BATCH = 32, 200
HANG_S = 300  # a batch takes some 5 s
MOST_BYTES = 3_000_000  # of a real photograph that is gnawed at: thousands of copies are written

# `prepare` runs in a process of its own, so that a decoder's crash is seen and not shared
CHILD = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
from pp_lib.photos.prepare import prepare
r = prepare(sys.argv[1], sys.argv[2], size=int(sys.argv[3]), workers=2, progress=False)
json.dump([r.found, r.usable, r.rejected, r.reasons], sys.stdout)
"""

NUMBERS = (0, 1, 2, 3, 7, 8, 127, 255, 256, 4096, 65535, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
TAGS = (
    *(0x100, 0x101, 0x102, 0x103, 0x106, 0x10F, 0x110, 0x111, 0x112, 0x115, 0x116, 0x117, 0x11C),
    *(0x142, 0x143, 0x144, 0x145, 0x14A, 0x201, 0x202, 0x828D, 0x828E, 0x829A, 0x829D, 0x8769),
    *(0x8825, 0x8827, 0x8832, 0x9003, 0x9201, 0x9202, 0x920A, 0x927C, 0xA005, 0xC612, 0xC617),
    *(0xC618, 0xC61A, 0xC61D, 0xC621, 0xC628, 0xC62F, 0xC634, 0xC65A, 0xC68B, 0xC691),
)
SIZE_OF_TYPE = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8)  # in bytes, by the TIFF type's number


def entries_of(content):
    """Give the TIFF structure: (order, where the header is, [(where, tag, type, count, value)])."""
    found = content.find(b"Exif\0\0") if content[:2] == b"\xff\xd8" else 0
    base = found + 6 if content[:2] == b"\xff\xd8" and found >= 0 else found
    order = {b"II": "<", b"MM": ">"}.get(bytes(content[base : base + 2])) if base >= 0 else None
    if order is None or len(content) < base + 8:
        return None
    todo, seen, entries = [struct.unpack_from(order + "L", content, base + 4)[0]], set(), []
    while todo:
        at = base + todo.pop()
        if at in seen or at + 2 > len(content):
            continue
        seen.add(at)
        count = struct.unpack_from(order + "H", content, at)[0]
        for where in range(at + 2, min(at + 2 + 12 * count, len(content) - 12), 12):
            entry = struct.unpack_from(order + "HHLL", content, where)
            entries.append((where, *entry))
            if entry[0] in (0x8769, 0x8825, 0x14A):
                todo.append(entry[3])
    return order, base, entries


def change_tag(content, rng):
    """Change one entry of the TIFF directories, or the value it points to."""
    structure = entries_of(content)
    if structure is None or not structure[2]:
        return flip(content, rng)
    order, base, entries = structure
    where, tag, kind, count, value = entries[rng.integers(len(entries))]
    number = int(rng.choice((*NUMBERS, len(content) - base, where - base, count + 1, value ^ 1)))
    number %= 2**32
    size = SIZE_OF_TYPE[kind] * count if kind < len(SIZE_OF_TYPE) else 0
    match int(rng.integers(8)):
        case 0:
            struct.pack_into(order + "H", content, where, int(rng.choice(TAGS)))
        case 1:
            struct.pack_into(order + "H", content, where + 2, int(rng.integers(0, 20)))
        case 2:
            struct.pack_into(order + "L", content, where + 4, number)
        case 3:
            struct.pack_into(order + "L", content, where + 8, number)
        case 4:  # another entry in its place
            other = entries[rng.integers(len(entries))][0]
            content[where : where + 12] = content[other : other + 12]
        case 5:  # a longer or shorter directory, whose next one may be itself
            struct.pack_into(order + "H", content, base + 8, number % 65536)
        case _ if size > 4 and base + value + 4 <= len(content):  # what it points to
            at = base + value + 4 * int(rng.integers(2)) * (base + value + 8 <= len(content))
            struct.pack_into(order + "L", content, at, number)
        case _:
            struct.pack_into(order + "H", content, where + 8, number % 65536)
    return content


def change_segment(content, rng):
    """Change the length, the marker or the sizes of one of a JPEG's segments."""
    marks = [i for i in range(len(content) - 10) if content[i] == 0xFF and content[i + 1] > 0xBF]
    if not marks:
        return flip(content, rng)
    at = marks[rng.integers(min(len(marks), 12))]
    if content[at + 1] in (0xC0, 0xC2) and rng.random() < 0.7:
        struct.pack_into(">HH", content, at + 5, *map(int, rng.integers(0, 20_000, 2)))
    elif rng.random() < 0.5:
        struct.pack_into(">H", content, at + 2, int(rng.choice(NUMBERS)) % 65536)
    else:
        content[at + 1] = int(rng.integers(256))
    return content


def flip(content, rng):
    """Flip some bits, the beginning's more often."""
    end = len(content) if rng.random() < 0.5 else min(len(content), 600)
    for at in rng.integers(0, max(end, 1), rng.integers(1, 20)) if content else ():
        content[at] ^= 1 << int(rng.integers(8))
    return content


def cut(content, rng):
    return content[: rng.integers(0, len(content) + 1)]


def take_out(content, rng):
    a, b = sorted(rng.integers(0, len(content) + 1, 2))
    del content[a : min(b, a + 300)]
    return content


def insert(content, rng):
    at = int(rng.integers(0, len(content) + 1))
    content[at:at] = rng.bytes(int(rng.integers(1, 200)))
    return content


def overwrite(content, rng):
    a, b = sorted(rng.integers(0, len(content) + 1, 2))
    content[a:b] = bytes([int(rng.choice([0, 255, 32]))]) * (b - a)
    return content


MUTATIONS = (*(change_tag,) * 5, change_segment, flip, flip, cut, take_out, insert, overwrite)


def mutated(originals, number):
    """Make input `number`: its suffix, its bytes, and how it came about."""
    rng = np.random.default_rng([SEED, number])
    suffix, content = originals[rng.integers(len(originals))]
    content, how = bytearray(content), []
    for _ in range(rng.integers(1, 4)):
        mutation = MUTATIONS[rng.integers(len(MUTATIONS))]
        if mutation is change_segment and content[:2] != b"\xff\xd8":
            mutation = change_tag
        try:
            content = mutation(content, rng)
        except struct.error:  # an earlier one has moved what the directory points to
            content = flip(content, rng)
        how.append(mutation.__name__)
    if rng.random() < 0.03:
        suffix = str(rng.choice(sorted(PHOTO_SUFFIXES)))
    return suffix, bytes(content), how


@pytest.fixture(scope="session")
def originals(make, tmp_path_factory):
    """Simulated DNGs, JPEGs, a TIFF and a PNG, whole and usable."""
    from pp_lib.camera import simulate, write_dng

    base, found = tmp_path_factory.mktemp("originals"), []
    for i, photograph in enumerate(simulate(3, seed=6, size=64, workers=1, progress=False)):
        found.append((".dng", write_dng(base / f"{i}.dng", photograph).read_bytes()))
    found.append((".jpg", make.jpeg_bytes()))
    apex = [
        (make.APERTURE, make.RATIONAL, [(5, 1)]),
        (make.SHUTTER_SPEED, make.SRATIONAL, [(7, 1)]),
    ]
    found.append((".JPG", make.jpeg_bytes(apex + make.settings(None, 400, None), orientation=6)))
    exif = make.exif_bytes(make.settings())
    for suffix, kind in ((".png", "PNG"), (".jpeg", "JPEG")):
        stream = io.BytesIO()
        options = {"progressive": True} if kind == "JPEG" else {}
        Image.fromarray(make.pixels()).save(stream, kind, exif=exif, **options)
        found.append((suffix, stream.getvalue()))
    stream = io.BytesIO()
    Image.fromarray(make.pixels()).save(
        stream, "TIFF", exif=Image.open(io.BytesIO(found[3][1])).getexif()
    )
    return [*found, (".tif", stream.getvalue())]


@pytest.fixture(scope="session")
def real_originals(shared_raw, shared_photos):
    """Real files of cameras: what LibRaw's many decoders are for."""
    paths = sorted(shared_raw.iterdir()) + sorted(shared_photos.glob("*.jpg"))[::6]
    small = [path for path in paths if 0 < path.stat().st_size < MOST_BYTES]
    return [(path.suffix, path.read_bytes()) for path in small]


def check_batch(originals, numbers, base):
    """Prepare the inputs of these numbers; give the reasons' counts, "usable" among them."""
    folder, out = base / f"{numbers[0]:06d}", base / f"{numbers[0]:06d}.out"
    folder.mkdir()
    names, how = {}, {}
    for number in numbers:
        suffix, content, how[number] = mutated(originals, number)
        names[number] = f"{number:06d}{suffix}"
        (folder / names[number]).write_bytes(content)
    command = [sys.executable, "-c", CHILD, str(folder), str(out), str(SIZE)]
    told = f"seed {SEED}, numbers {numbers[0]} to {numbers[-1]}, in {folder}"
    try:
        run = subprocess.run(command, capture_output=True, timeout=HANG_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.fail(f"prepare hangs over {in_work(out)}: {told}")
    if run.returncode != 0:
        error = run.stderr.decode(errors="replace")[-3000:]
        pytest.fail(f"prepare ended with {run.returncode} over {in_work(out)}: {told}\n{error}")
    found, usable, rejected, reasons = json.loads(run.stdout)
    rows = read_manifest(out)
    with open(out / "rejected.csv", newline="", encoding="utf-8") as stream:
        refused = list(csv.DictReader(stream))
    assert found == len(numbers) == usable + rejected, told
    # one by one, from the files themselves: each input stands in one table, and in one only
    stands = [row.source for row in rows] + [row["source"] for row in refused]
    assert sorted(stands) == sorted(names.values()), told
    assert reasons == Counter(row["reason"] for row in refused), told
    assert reasons.keys() <= REASONS.keys(), told
    assert all(row["detail"] for row in refused), told
    for row in rows:
        limits = zip(
            (F_NUMBER_RANGE, ISO_RANGE, EXPOSURE_TIME_RANGE_S), settings_of(row), strict=True
        )
        assert all(low <= value <= high for (low, high), value in limits), (row, how)
        with Image.open(out / row.image) as picture:
            assert (picture.size, picture.mode) == ((SIZE, SIZE), "RGB"), row
    return Counter(reasons) + Counter(usable=usable)


def settings_of(row):
    return row.f_number, row.iso, row.exposure_time_s


def in_work(out):
    """Give what the journal says was in work when the process ended."""
    lines = [json.loads(line) for line in (out / ".journal.jsonl").read_text().splitlines()]
    done = {line["done"]["source"] for line in lines if "done" in line}
    return sorted({line["begun"] for line in lines if "begun" in line} - done)


def fuzz(originals, base, *, count=None, seconds=None):
    """Go through the numbers from 0, so many or for so long; print and give the counts."""
    start, counts, number = time.perf_counter(), Counter(), 0
    while number < count if count else time.perf_counter() - start < seconds:
        numbers = range(number, min(number + BATCH, count or number + BATCH))
        counts += check_batch(originals, numbers, base)
        number = numbers.stop
    took = time.perf_counter() - start
    said = f"\nseed {SEED}, {number} inputs in {took:.0f} s: {dict(counts.most_common())}"
    print(said)  # noqa: T201  for -s
    assert counts.total() == number
    return counts


def test_the_originals_are_usable(originals, tmp_path):
    for i, (suffix, content) in enumerate(originals):
        (tmp_path / f"{i}{suffix}").write_bytes(content)
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(tmp_path / "out"), str(SIZE)]
    found, usable, _, reasons = json.loads(subprocess.run(command, capture_output=True).stdout)
    assert (found, usable) == (8, 8), reasons


def test_an_input_comes_again_from_its_number(originals):
    for number in (0, 17, 9_999):
        assert mutated(originals, number) == mutated(originals, number)
    inputs = [mutated(originals, number) for number in range(300)]
    assert len({content for _, content, _ in inputs}) > 280  # some are cut to nothing
    assert {name for _, _, how in inputs for name in how} == {m.__name__ for m in MUTATIONS}


def test_a_minute_of_gnawed_photographs(originals, tmp_path):
    counts = fuzz(originals, tmp_path, seconds=45)
    assert {"usable", "damaged", "absurd value", "not a photograph"} <= counts.keys()


def test_some_real_photographs_gnawed_at(real_originals, tmp_path):
    counts = fuzz(real_originals, tmp_path, seconds=12)
    assert {"usable", "damaged"} <= counts.keys()


@pytest.mark.long
def test_ten_thousand_gnawed_photographs(originals, tmp_path):
    counts = fuzz(originals, tmp_path, count=10_000)
    assert len(counts) >= 9


@pytest.mark.long
def test_a_thousand_real_photographs_gnawed_at(real_originals, tmp_path):
    fuzz(real_originals, tmp_path, count=1_000)
