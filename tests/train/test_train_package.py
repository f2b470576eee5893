"""The package as a whole: cheap to import, and every name leads somewhere."""

import subprocess
import sys

import pytest

import pp_lib.train


def test_import_is_cheap():
    code = (
        "import sys, pp_lib.train\n"
        "print([m for m in ('torch', 'torchvision', 'sklearn', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", pp_lib.train.__all__)
def test_every_name_is_there(name):
    assert getattr(pp_lib.train, name).__name__ == name
    assert name in dir(pp_lib.train)


def test_unknown_names_are_unknown():
    with pytest.raises(AttributeError, match="fitt"):
        _ = pp_lib.train.fitt
