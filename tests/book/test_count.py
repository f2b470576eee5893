"""The count of equations, cells, checks and exercises, on a page that was counted by hand."""

import importlib.util
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
jupytext = pytest.importorskip(
    "jupytext", reason="the book's tools are absent: pip install -e '.[book]'"
)

PAGE = """\
---
jupytext:
  formats: ipynb,md:myst
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# A page

$$a = 1 \\tag{1.1}$$ and one without a number: $$b$$ and $c = 2$.

$$c = 2 \\tag{1.2}$$

```{code-cell} ipython3
%matplotlib inline
!ls
a = 1
```

```{code-cell} ipython3
assert a == 1, "a check"
assert a < 2
```

```{code-cell} ipython3
def same(x, y):
    assert x == y
```

```{code-cell} ipython3
for x in (1, 2):
    same(x, x)
```

```{code-cell} ipython3
np.testing.assert_allclose(a, 1); assertion = "assert"
```

```{code-cell} ipython3
print("assert a == 1")  # assert
```

**Exercise 1.1: first.** What?

**Exercise 1.2.** And this? See Exercise 1.1.

```{code-cell} ipython3
# @title Solution 1.1
assert True
```

```{code-cell} ipython3
# @title Solution 1.1
assert_gradients_match(a, a)
```
"""


@pytest.fixture(scope="module")
def count():
    spec = importlib.util.spec_from_file_location("count", REPOSITORY / "book" / "count.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_page_counted_by_hand(count):
    assert count.count(jupytext.reads(PAGE, fmt="md:myst")) == (2, 8, 5, 2)


def test_the_table_adds_up(count):
    lines = count.table([("01_one", (1, 20, 3, 4)), ("02_two", (10, 20, 30, 40))]).splitlines()
    assert [line.split() for line in lines] == [
        ["chapter", "equations", "code", "cells", "checks", "exercises"],
        ["01_one", "1", "20", "3", "4"],
        ["02_two", "10", "20", "30", "40"],
        ["2", "chapters", "11", "40", "33", "44"],
    ]


def test_every_chapter_can_be_counted(count):
    for text in sorted(count.CHAPTERS.glob("*.md")):
        _, code_cells, checks, _ = count.count(jupytext.read(text))
        assert 0 < checks < code_cells, text.name
