"""Explorers: what Python computes is what the browser is given, and mistakes are refused early."""

import io
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from pp_lib.show import Axis, Bars, Explorer, Heatmap, Lines, Picture, _scales
from pp_lib.show._payload import Payload

# Numbers travel as float16 or float32: half of a float16's last bit, or exactly nought.
RTOL_HALF = 2.0**-11
RTOL_SINGLE = 2.0**-24

X = np.linspace(0, 1, 11)


def fall(k, kind="line"):
    y = X**k if kind == "line" else 1 - X**k
    return {
        "curve": {"y": y, "end": np.array([[1.0, y[-1]]]), "cut": np.array([0.5])},
        "bars": np.array([k, 2.0 * k]),
        "map": {"z": np.add.outer(k * X[:4], X[:6]), "path": np.column_stack([X, X**k])},
        "picture": np.full((6, 8, 3), int(20 * k), np.uint8),
        "says": f"To the power {k:g} the {kind} has the mean {y.mean():.3f}.",
    }


AXES = [Axis("k", [1, 2, 3], "Power"), Axis("kind", ["line", "mirror"], "Kind")]
VIEWS = [
    Lines(
        key="curve",
        title="Powers",
        x=X,
        xlabel="x",
        ylabel="y",
        marks={"end": "points", "cut": "rules"},
    ),
    Bars(key="bars", title="Two bars", labels=("one", "two"), ylabel="height"),
    Heatmap(key="map", title="A slope", x=X[:6], y=X[:4], xlabel="x", ylabel="y", zlabel="z"),
    Picture(key="picture", title="Grey"),
]


def explorer(axes=AXES, frame=fall, views=VIEWS, **words):
    words = {"alt": "Powers of x.", "caption": "Explorer 0.1. Powers bend.", **words}
    return Explorer(axes, frame, views, **words)


@pytest.fixture
def powers():
    return explorer(play="k")


# --- what is packed -----------------------------------------------------------------------------


def test_every_frame_arrives(powers, unpack):
    given_ = unpack(powers.payload)
    lines, bars, heat, picture = given_.header["views"]
    for i, k in enumerate((1, 2, 3)):
        for j, kind in enumerate(("line", "mirror")):
            frame, at = fall(k, kind), [i, j]
            assert given_.says(at) == frame["says"]
            for series, (name, values) in zip(lines["series"], frame["curve"].items(), strict=True):
                assert series["name"] == name
                arrived = given_.trace(series["trace"], at)
                np.testing.assert_allclose(arrived, values, rtol=RTOL_HALF)
            np.testing.assert_allclose(given_.trace(bars["series"][0]["trace"], at), frame["bars"])
            z = given_.trace(heat["trace"], at)
            np.testing.assert_allclose(z, frame["map"]["z"], rtol=RTOL_HALF, atol=1e-7)
            path = given_.trace(heat["series"][0]["trace"], at)
            np.testing.assert_allclose(path, frame["map"]["path"], rtol=RTOL_HALF, atol=1e-4)
            kind_, content = given_.picture(picture, at)
            assert kind_ == "image/png"
            assert (np.asarray(Image.open(io.BytesIO(content))) == frame["picture"]).all()
    np.testing.assert_allclose(given_.along(lines), X, rtol=RTOL_HALF)


def test_the_digest_is_of_what_the_browser_is_given(powers, unpack):
    assert unpack(powers.payload).digest == powers.digest
    other = explorer(frame=lambda k, kind: fall(k + 1e-2, kind), play="k")
    assert other.digest != powers.digest


def test_equal_traces_are_stored_once(unpack):
    def frame(a, b):
        return {"y": {"of a": a * X, "of none": X}, "says": f"{a} {b}"}

    axes = [Axis("a", range(5), "a"), Axis("b", range(7), "b")]
    one = explorer(axes, frame, [Lines(key="y", title="y", x=X, xlabel="x", ylabel="y")])
    (view,) = unpack(one.payload).header["views"]
    arrays = unpack(one.payload).header["arrays"]
    of_a, of_none = (arrays[s["trace"]["values"]]["shape"] for s in view["series"])
    assert of_a == [5, 11]
    assert of_none == [1, 11]
    assert "frames" not in view["series"][1]["trace"]


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(max_dims=2, max_side=6),
        elements=st.just(math.nan) | st.floats(-1e30, 1e30),
    )
)
def test_numbers_arrive_to_three_digits_or_better(unpack, values):
    assume((np.abs(values[np.isfinite(values) & (values != 0)]) > 1e-30).all())
    payload = Payload()
    held = {"values": payload.array(values[None])}
    arrived = unpack(payload.text({"axes": []})).trace(held, [])
    np.testing.assert_allclose(arrived, values, rtol=RTOL_HALF)


def test_small_numbers_are_not_lost_to_float16(unpack):
    payload = Payload()
    values = np.array([1e-6, 1.0])
    held = payload.trace([values])
    arrived = unpack(payload.text({"axes": []})).trace(held, [])
    np.testing.assert_allclose(arrived, values, rtol=RTOL_SINGLE)


def test_a_photograph_is_stored_as_jpeg_and_stays_itself(unpack):
    rng = np.random.default_rng(0)
    photo = np.clip(rng.normal(120, 20, (64, 64, 3)), 0, 255).astype(np.uint8)
    axes = [Axis("flip", [False, True], "Mirror")]

    def frame(flip):
        return {"p": photo[:, ::-1] if flip else photo, "says": f"Flip {flip}."}

    one = explorer(axes, frame, [Picture(key="p", title="Noise", quality=90)])
    given_ = unpack(one.payload)
    kind, content = given_.picture(given_.header["views"][0], [1])
    assert kind == "image/jpeg"
    error = np.asarray(Image.open(io.BytesIO(content)), float) - photo[:, ::-1]
    # Noise of 20 grey levels at quality 90: the error stays below half of the noise.
    assert error.std() < 10


# --- live ---------------------------------------------------------------------------------------


def test_python_sets_and_observes_the_values(powers):
    seen = []
    powers.observe(lambda change: seen.append(change["new"]), names="value")
    assert powers.value == {"k": 1, "kind": "line"}
    powers.value = {"k": 3}
    assert powers.index == [2, 0]
    assert powers.says == fall(3)["says"]
    # what the browser sends when a slider moves
    powers.set_state({"index": [1, 1]})
    assert powers.value == {"k": 2, "kind": "mirror"}
    assert seen == [{"k": 3, "kind": "line"}, {"k": 2, "kind": "mirror"}]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("value", {"k": 4}),
        ("value", {"power": 1}),
        ("value", {"kind": "circle"}),
        ("index", [3, 0]),
        ("index", [-1, 0]),
        ("index", [0]),
    ],
)
def test_values_that_are_none_are_refused_and_nothing_moves(powers, name, wrong):
    with pytest.raises((ValueError, Exception), match="must|may"):
        setattr(powers, name, wrong)
    assert powers.index == [0, 0]
    assert powers.value == {"k": 1, "kind": "line"}


def test_a_number_means_the_nearest_value(powers):
    powers.value = {"k": 1.6}
    assert powers.value["k"] == 2


def test_frame_gives_what_the_frame_function_returned(powers):
    np.testing.assert_array_equal(powers.frame(k=3)["bars"], [3, 6])
    with pytest.raises(ValueError, match="expected values of"):
        powers.frame(power=3)


# --- on the page --------------------------------------------------------------------------------


def test_the_bundle_has_a_live_view_a_page_and_words(powers):
    data, _ = powers._repr_mimebundle_()
    assert set(data) == {
        "application/vnd.jupyter.widget-view+json",
        "text/html",
        "text/plain",
    }
    assert powers.says in data["text/plain"]
    assert powers.digest in data["text/plain"]
    assert 'alt="Powers of x."' in data["text/html"]
    assert powers.payload in data["text/html"]
    assert "http" not in data["text/html"].replace("http://www.w3.org/2000/svg", "")


def test_equal_explorers_give_equal_pages():
    one, two = (explorer()._repr_mimebundle_()[0] for _ in range(2))
    for kind in ("text/html", "text/plain"):
        assert one[kind] == two[kind]


def test_words_cannot_break_out_of_the_page():
    one = explorer(alt='5 < 6 & "so"', caption="</figcaption><script>x</script>")
    html = one._repr_mimebundle_()[0]["text/html"]
    assert 'alt="5 &lt; 6 &amp; &quot;so&quot;"' in html
    assert "<script>x" not in html


def test_the_still_picture_shows_the_frame_of_now(powers):
    powers.value = {"k": 3, "kind": "mirror"}
    still = powers.still()
    assert powers.says in still.alt
    for title in ("Powers", "Two bars", "A slope", "Grey"):
        assert title in still.svg


# --- scales -------------------------------------------------------------------------------------


def number(text):
    """Read a tick's label as a person would."""
    text = text.replace("\u2212", "-")
    if "10" in text and any(c in text for c in "⁰¹²³⁴⁵⁶⁷⁸⁹"):
        digits, _, power = text.rpartition("10")
        plain = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
        return float(digits.rstrip("·") or 1) * 10.0 ** int(plain)
    return float(text)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.booleans())
@example(0.0, 1e9, True)
@example(90000.0, 12500.0, False)  # 1.025 times 10 to the 5: three digits would not tell it apart
@example(-1e6, 100.5, False)
def test_ticks_lie_inside_and_say_where_they_are(low, width, log):
    low = abs(low) + 1e-6 if log else low
    high = low + width
    assume(width > 1e-4 * abs(low))
    ticks = _scales.axis("x", (low, high), log)["ticks"]
    assert len(ticks) <= 7
    for value, text in ticks:
        # On a logarithmic scale a share of the width may be many decades.
        room = (1e-6 * low, 1e-6 * high) if log else (1e-6 * width, 1e-6 * width)
        assert low - room[0] <= value <= high + room[1]
        # A label may be off by far less than the way to the next one.
        off = min(1e-3 * value, 1e-3 * width) if log else 1e-3 * width
        assert math.isclose(number(text), value, rel_tol=0, abs_tol=off)
    assert len({text for _, text in ticks}) == len(ticks)


@given(hnp.arrays(float, st.integers(1, 20), elements=st.floats(1e-8, 1e8)), st.booleans())
def test_limits_hold_every_value(values, log):
    low, high = _scales.limits([values], log)
    assert low < values.min() or math.isclose(low, values.min())
    assert high > values.max() or math.isclose(high, values.max())


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: Axis("k", [1], "k"), "two different values"),
        (lambda: Axis("k", [1, 1], "k"), "two different values"),
        (lambda: Axis("k", [1, 2], "k", start=3), "between 1 and 2"),
        (lambda: Axis("k", ["a", "b"], "k", start="c"), "must be one of"),
        (lambda: explorer(axes=[]), "axes of different names"),
        (lambda: explorer(axes=[AXES[0], AXES[0]]), "axes of different names"),
        (lambda: explorer(views=[]), "and a view"),
        (lambda: explorer(play="speed"), "play must be one of"),
        (lambda: explorer(alt=" "), "alt must be a text"),
        (lambda: explorer(caption=None), "caption must be a text"),
        (lambda: explorer(frame=lambda k, kind: {"says": "x"}), "key 'curve'"),
        (lambda: explorer(frame=lambda k, kind: fall(k) | {"says": ""}), "says must be a text"),
        (lambda: explorer(frame=lambda k, kind: None), "key 'curve', got NoneType"),
        (
            lambda: explorer(frame=lambda k, kind: fall(k) | {"bars": np.ones(3)}),
            r"one value for each of 2 labels, got shape \(3,\)",
        ),
        (
            lambda: explorer(frame=lambda k, kind: fall(k) | {"picture": np.ones((4, 4))}),
            "must be uint8",
        ),
        (
            lambda: explorer(frame=lambda k, kind: fall(k) | {"map": np.ones((6, 4))}),
            r"\(len\(y\), len\(x\)\) = \(4, 6\), got \(6, 4\)",
        ),
        (
            lambda: explorer(frame=lambda k, kind: fall(k) | {"curve": X[:k]}),
            "marks must map|must be",
        ),
        (
            lambda: explorer(
                frame=lambda k, kind: {"y": {str(k): X}, "says": "x"},
                views=[Lines(key="y", title="y", x=X, xlabel="x", ylabel="y")],
            ),
            "the same names in every frame",
        ),
        (
            lambda: explorer(
                frame=lambda k, kind: {"y": np.full(11, np.nan), "says": "x"},
                views=[Lines(key="y", title="y", x=X, xlabel="x", ylabel="y")],
            ),
            "give the limits",
        ),
        (lambda: _scales.axis("x", (0, 1), True), "must be positive"),
        (lambda: _scales.axis("x", (1, 1), False), "different"),
        (lambda: _scales.cell_edges([1, 2, 4], False), "evenly spaced"),
    ],
)
def test_mistakes_are_refused_with_what_was_expected(mistake, message):
    with pytest.raises(ValueError, match=message):
        mistake()


def test_too_much_is_refused_with_what_to_do():
    rng = np.random.default_rng(0)

    def frame(k, kind):
        return {"y": rng.normal(size=9000), "says": f"{k} {kind}"}

    views = [Lines(key="y", title="y", x=np.arange(9000), xlabel="x", ylabel="y")]
    with pytest.raises(ValueError, match="150,000 allowed: fewer values"):
        explorer(frame=frame, views=views)


def test_figures_alone_do_not_need_ipywidgets():
    code = (
        "import sys; sys.modules['ipywidgets'] = sys.modules['anywidget'] = None\n"
        "from pp_lib.show import figure, plots, style; style.use()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
