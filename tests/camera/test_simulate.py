"""Photographs: reproducible whatever the workers, and what bad arguments say."""

import subprocess
import sys
from datetime import datetime
from fractions import Fraction

import numpy as np
import pytest

from pp_lib.camera import Settings, make_scene, simulate, take_photograph


def assert_same(one, two):
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.mosaic, b.mosaic)
        assert (a.settings, a.taken_at, a.light_ev100, a.seed) == (
            b.settings,
            b.taken_at,
            b.light_ev100,
            b.seed,
        )


def test_photographs_do_not_depend_on_the_number_of_workers_nor_of_photographs():
    alone = simulate(5, seed=3, size=64, workers=1, progress=False)
    together = simulate(7, seed=3, size=64, workers=2, progress=False)
    assert_same(alone, together[:5])


def test_another_seed_gives_other_photographs():
    one, two = (simulate(1, seed=s, size=64, progress=False)[0] for s in (0, 1))
    assert (one.mosaic != two.mosaic).mean() > 0.9


def test_settings_do_not_depend_on_the_size():
    small, wide = (simulate(4, seed=8, size=s, progress=False) for s in (32, (32, 64)))
    assert [p.taken_at for p in small] != []
    assert [p.light_ev100 for p in small] == [p.light_ev100 for p in wide]


def test_a_photograph_is_complete():
    photograph = simulate(1, size=(48, 64), progress=False)[0]
    assert photograph.mosaic.shape == (48, 64)
    assert photograph.mosaic.dtype == np.uint16
    assert photograph.mosaic.max() <= photograph.white_level
    assert isinstance(photograph.settings.f_number, Fraction)
    assert isinstance(photograph.taken_at, datetime)
    assert photograph.seed == (0, 0)


def test_most_photographs_are_well_exposed():
    photographs = simulate(40, seed=2, size=64, progress=False)
    levels = [np.median(p.mosaic[0::2, 1::2]) - p.black_level for p in photographs]
    clipped = [(p.mosaic == p.white_level).mean() for p in photographs]
    # The mean is metered to 18 %; a median lies below it, a stop or two at the most.
    assert 0.04 < np.median(levels) / (16383 - 512) < 0.25
    assert np.median(clipped) < 0.02


def test_noise_alone_depends_on_the_generator():
    scene = make_scene(np.random.default_rng(0), 64)
    settings = Settings(8, 100, "1/60", 50)
    one, same, other = (
        take_photograph(scene, settings, np.random.default_rng(seed)).mosaic for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_part_of_the_picture_is_its_centre_in_the_same_colours():
    scene = make_scene(np.random.default_rng(0), 64)
    settings = Settings(8, 100, 1 / 2**scene.light_ev100 * 64, 50)
    whole = take_photograph(scene, settings, np.random.default_rng(1)).mosaic.astype(float)
    part = take_photograph(scene, settings, np.random.default_rng(1), (38, 34)).mosaic
    assert part.shape == (38, 34)
    # The same light, other noise: the noise is about 1 % of the signal at ISO 100.
    correlation = np.corrcoef(part.ravel(), whole[12:50, 14:48].ravel())[0, 1]
    assert correlation > 0.99
    with pytest.raises(ValueError, match="at most"):
        take_photograph(scene, settings, np.random.default_rng(1), 128)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"n": -1}, "n must"),
        ({"n": 2.5}, "n must"),
        ({"n": 1, "seed": -1}, "seed must"),
        ({"n": 1, "workers": 0}, "workers must"),
        ({"n": 1, "workers": -2}, "workers must"),
        ({"n": 1, "size": 65}, "size must"),
    ],
)
def test_bad_arguments_are_named(arguments, word):
    with pytest.raises(ValueError, match=word):
        simulate(**arguments, progress=False)


def test_no_photographs_are_an_empty_list():
    assert simulate(0, progress=False) == []


def test_a_script_without_a_guard_gets_an_error_and_does_not_hang(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pp_lib.camera import simulate\nsimulate(2, size=32, workers=2, progress=False)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode != 0
    assert "if __name__ == '__main__'" in done.stderr.splitlines()[-1]
