"""Optimizers and the plateau schedule against torch's, step by step."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from pp_lib.nn import SGD, Adam, AdamW, Parameter, ReduceLROnPlateau, RMSProp
from pp_lib.nn.optim import Optimizer

# Both sides round each step a few times, in another order; dozens of steps add these up.
RTOL, ATOL = 1e-11, 1e-13
# What the book promises of 500 steps of Adam in float64.
ADAM_500 = 1e-12

seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=3)
rates = st.sampled_from([0.0, 1e-3, 0.1, 1.0])
decays = st.sampled_from([0.0, 1e-2, 0.5])
epsilons = st.sampled_from([1e-8, 1e-3])
shares = st.sampled_from([0.0, 0.5, 0.9, 0.99])


@st.composite
def sgd_options(draw):
    options = {"lr": draw(rates), "weight_decay": draw(decays), "momentum": draw(shares)}
    if options["momentum"] and draw(st.booleans()):
        return {**options, "nesterov": True}
    return {**options, "dampening": draw(st.sampled_from([0.0, 0.3, 1.0]))}


rmsprop_options = st.fixed_dictionaries(
    {"lr": rates, "weight_decay": decays, "alpha": shares, "momentum": shares, "eps": epsilons}
)
adam_options = st.fixed_dictionaries(
    {"lr": rates, "weight_decay": decays, "betas": st.tuples(shares, shares), "eps": epsilons}
)
PAIRS = {
    "SGD": (SGD, torch.optim.SGD, sgd_options()),
    "RMSProp": (RMSProp, torch.optim.RMSprop, rmsprop_options),
    "Adam": (Adam, torch.optim.Adam, adam_options),
    "AdamW": (AdamW, torch.optim.AdamW, adam_options),
}


def parameters_of(shapes, rng, dtype=np.float64):
    return {
        f"{i}.weight": Parameter(np.array(rng.normal(size=s), dtype)) for i, s in enumerate(shapes)
    }


def run_both(ours, theirs, options, shapes, rng, steps, dtype=np.float64):
    """Step both from the same values along the same gradients; yield both after each step."""
    mine = parameters_of(shapes, rng, dtype)
    leaves = [torch.tensor(p.value, requires_grad=True) for p in mine.values()]
    a, b = ours(mine, **options), theirs(leaves, **options)
    for _ in range(steps):
        for p, leaf in zip(mine.values(), leaves, strict=True):
            # a gradient that follows the value, of many sizes: no step is like another
            noise = rng.normal(size=p.shape) * 10 ** rng.uniform(-3, 1)
            p.grad = np.asarray(p.value + noise, dtype)
            leaf.grad = torch.tensor(p.grad)
        a.step()
        b.step()
        yield mine, leaves


def assert_close(mine, leaves, rtol=RTOL, atol=ATOL):
    for p, leaf in zip(mine.values(), leaves, strict=True):
        assert_allclose(p.value, leaf.detach().numpy(), rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", PAIRS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_twelve_steps_are_torchs(name, data):
    ours, theirs, options = PAIRS[name]
    rng = np.random.default_rng(data.draw(seeds))
    drawn = data.draw(options)
    for mine, leaves in run_both(ours, theirs, drawn, data.draw(shapes), rng, 12):
        # rounding is relative to the largest value that took part in the sums
        largest = max(1.0, *(float(np.abs(p.value).max()) for p in mine.values()))
        assert_close(mine, leaves, atol=ATOL * largest)


@pytest.mark.parametrize("name", PAIRS)
def test_the_defaults_are_torchs(name):
    ours, theirs, _ = PAIRS[name]
    rng = np.random.default_rng(0)
    for mine, leaves in run_both(ours, theirs, {}, [(3, 2), (3,)], rng, 50):
        assert_close(mine, leaves)


@pytest.mark.parametrize("name", PAIRS)
def test_float32_stays_and_is_torchs(name):
    ours, theirs, _ = PAIRS[name]
    rng = np.random.default_rng(0)
    for mine, leaves in run_both(ours, theirs, {}, [(3, 2)], rng, 20, np.float32):
        # float32 rounds to 6e-8; twenty steps of at most lr each
        assert_close(mine, leaves, 1e-5, 1e-6)
    assert {p.value.dtype for p in mine.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}, {"lr": 0.05, "betas": (0.8, 0.9)}])
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_five_hundred_steps_of_adam(name, options):
    ours, theirs, _ = PAIRS[name]
    rng = np.random.default_rng(12)
    for mine, leaves in run_both(ours, theirs, options, [(10, 7), (10,)], rng, 500):
        assert_close(mine, leaves, rtol=0, atol=ADAM_500)


@settings(deadline=None, max_examples=150)
@given(
    metrics=st.lists(
        st.sampled_from([1.0, 0.99995, 0.9, 0.5, 0.0, -1.0, 2.0, math.nan, math.inf]), max_size=30
    ),
    mode=st.sampled_from(["min", "max"]),
    threshold_mode=st.sampled_from(["rel", "abs"]),
    patience=st.integers(0, 3),
    cooldown=st.integers(0, 3),
    factor=st.sampled_from([0.1, 0.5]),
    threshold=st.sampled_from([0.0, 1e-4, 0.2]),
    min_lr=st.sampled_from([0.0, 0.02]),
    eps=st.sampled_from([1e-8, 0.03]),
)
def test_the_plateau_is_torchs(metrics, **options):
    optimizer = SGD(parameters_of([(1,)], np.random.default_rng(0)), lr=0.1)
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    ours = ReduceLROnPlateau(optimizer, **options)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for metric in metrics:
        ours.step(metric)
        reference.step(metric)
        assert optimizer.lr == theirs.param_groups[0]["lr"]
        assert ours.best == reference.best
        assert ours.num_bad_epochs == reference.num_bad_epochs
        assert ours.cooldown_counter == reference.cooldown_counter


def test_a_patience_of_two_lowers_the_rate_on_the_third_bad_epoch():
    optimizer = SGD(parameters_of([(1,)], np.random.default_rng(0)), lr=1.0)
    schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
    rates = []
    for metric in [1.0, 1.1, 1.2, 1.3]:
        schedule.step(metric)
        rates.append(optimizer.lr)
    assert rates == [1, 1, 1, 0.5]


def test_the_plateaus_defaults_are_torchs():
    optimizer = Adam(parameters_of([(1,)], np.random.default_rng(0)))
    ours = ReduceLROnPlateau(optimizer)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    )
    for name in ("factor", "patience", "threshold", "threshold_mode", "cooldown", "eps", "best"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert [ours.min_lr] == theirs.min_lrs


@pytest.mark.parametrize("name", PAIRS)
def test_a_resumed_run_goes_on_as_if_never_stopped(name):
    ours = PAIRS[name][0]
    options = {"momentum": 0.9} if name in ("SGD", "RMSProp") else {}
    gradients = np.random.default_rng(1).normal(size=(6, 3))

    def go(optimizer, p, some):
        for g in some:
            p.grad = g
            optimizer.step()

    whole = Parameter(np.ones(3))
    go(ours({"w": whole}, **options), whole, gradients)
    first = Parameter(np.ones(3))
    optimizer = ours({"w": first}, **options)
    go(optimizer, first, gradients[:3])
    saved = optimizer.state_dict()
    go(optimizer, first, gradients[3:])  # what was saved is a copy and does not move
    second = Parameter(np.ones(3))
    go(ours({"w": second}, **options), second, gradients[:3])
    resumed = ours({"w": second}, lr=7.0, **options)
    resumed.load_state_dict(saved)
    go(resumed, second, gradients[3:])
    assert_array_equal(second.value, whole.value)


def test_a_missing_gradient_stops_the_step_before_anything_changes():
    named = parameters_of([(2,), (2,)], np.random.default_rng(0))
    optimizer = Adam(named)
    named["0.weight"].grad = np.ones(2)
    before = named["0.weight"].value.copy()
    with pytest.raises(ValueError, match=r"1\.weight has no gradient"):
        optimizer.step()
    assert_array_equal(named["0.weight"].value, before)
    assert optimizer.steps == 0
    named["1.weight"].grad = np.ones(3)
    with pytest.raises(ValueError, match=r"of 1\.weight must be \(2,\) float64, got \(3,\) float"):
        optimizer.step()
    named["1.weight"].grad = np.ones(2)
    optimizer.step()
    optimizer.zero_grad()
    assert all(p.grad is None for p in named.values())
    with pytest.raises(ValueError, match="has no gradient"):
        optimizer.step()


def test_the_caller_keeps_the_gradient():
    for ours, options in ((SGD, {"momentum": 0.9, "weight_decay": 1.0}), (Adam, {}), (AdamW, {})):
        p = Parameter(np.ones(2))
        optimizer = ours({"w": p}, **options)
        p.grad = np.array([1.0, 2.0])
        for _ in range(3):
            optimizer.step()
        assert_array_equal(p.grad, [1, 2])


def test_tiny_and_huge_gradients_do_not_warn():
    p = Parameter(np.ones(3))
    optimizer = Adam({"w": p})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p.grad = np.array([0.0, 1e-200, 1e150])
        optimizer.step()
    assert np.isfinite(p.value).all()


ONE = {"w": Parameter(np.ones(1))}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SGD({}), "dict of Parameter"),
        (lambda: SGD({"w": np.ones(1)}), "dict of Parameter"),
        (lambda: SGD(ONE, lr=-1), "lr must be at least 0 and finite, got -1"),
        (lambda: SGD(ONE, lr=math.nan), "lr must be at least 0 and finite, got nan"),
        (lambda: SGD(ONE, momentum=-0.1), "momentum must be at least 0"),
        (lambda: SGD(ONE, nesterov=True), "nesterov needs momentum above 0"),
        (lambda: SGD(ONE, momentum=0.9, dampening=0.1, nesterov=True), "dampening 0.1"),
        (lambda: RMSProp(ONE, alpha=1.1), r"alpha must lie in \[0, 1\], got 1.1"),
        (lambda: RMSProp(ONE, eps=-1), "eps must be at least 0"),
        (lambda: Adam(ONE, betas=(0.9, 1.0)), r"betas must be two numbers in \[0, 1\)"),
        (lambda: AdamW(ONE, weight_decay=-1), "weight_decay must be at least 0"),
        (lambda: ReduceLROnPlateau(SGD(ONE), factor=1.0), "factor must lie between 0 and 1"),
        (lambda: ReduceLROnPlateau(SGD(ONE), mode="least"), "got 'least' and 'rel'"),
        (lambda: ReduceLROnPlateau(SGD(ONE), threshold_mode="x"), "got 'min' and 'x'"),
        (
            lambda: SGD(ONE).load_state_dict({"steps": 1, "lr": 1.0, "state": {"v": {}}}),
            r"parameters \['w'\], got \['v'\]",
        ),
        (
            lambda: SGD(ONE).load_state_dict(
                {"steps": 1, "lr": 1.0, "state": {"w": {"velocity": np.ones(2)}}}
            ),
            r"velocity of w must be \(1,\), got \(2,\)",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_optimizer_that_writes_nothing_says_so():
    p = Parameter(np.ones(1))
    p.grad = np.ones(1)
    with pytest.raises(NotImplementedError, match="Optimizer must write _change"):
        Optimizer({"w": p}, lr=1.0).step()
