"""Losses and their gradients against torch's, and the worked example of the notes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from pp_lib import nn

# Both sides round a handful of float64 operations on logits up to 50, or on terms of order 1.
RTOL, ATOL = 1e-12, 1e-13
# Logits of 1e4 carry 2e-12 of rounding, and 30 rows of them are summed.
ATOL_LARGE = 1e-10

REDUCTIONS = ["mean", "sum", "none"]
seeds = st.integers(0, 2**32 - 1)
reductions = st.sampled_from(REDUCTIONS)


@st.composite
def batches(draw, most=50.0):
    """Draw logits (B, K), classes (B,), and the generator for more."""
    B, K = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    Z = draw(hnp.arrays(np.float64, (B, K), elements=st.floats(-most, most)))
    rng = np.random.default_rng(draw(seeds))
    return Z, rng.integers(0, K, B), rng


def torch_value_and_gradient(loss, Z):
    leaf = torch.tensor(Z, requires_grad=True)
    value = loss(leaf)
    value.sum().backward()  # for "none", row i of the gradient is that of the loss of row i
    return value.detach().numpy(), leaf.grad.numpy()


def assert_same(value, gradient, reference, atol=ATOL):
    assert_allclose(value, reference[0], rtol=RTOL, atol=atol)
    assert_allclose(gradient, reference[1], rtol=RTOL, atol=atol)
    assert np.shape(value) == reference[0].shape
    assert gradient.shape == reference[1].shape


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(batches(), batches(1e4)),
    reductions,
    st.sampled_from([0.0, 0.1, 1.0]),
    st.booleans(),
    st.sampled_from(["classes", "one-hot", "probabilities"]),
)
def test_cross_entropy_is_torchs(batch, reduction, eps, weighted, form):
    Z, y, rng = batch
    K = Z.shape[1]
    if form == "one-hot":
        y = nn.functional.one_hot(y, K)
    elif form == "probabilities":
        y = rng.dirichlet(np.ones(K), len(Z))
    w = rng.uniform(0.1, 3, K) if weighted else None

    def theirs(z):
        weight = None if w is None else torch.tensor(w)
        return torch.nn.functional.cross_entropy(
            z, torch.tensor(y), weight, label_smoothing=eps, reduction=reduction
        )

    options = {"weight": w, "label_smoothing": eps, "reduction": reduction}
    value, gradient = nn.cross_entropy(Z, y, **options), nn.cross_entropy_backward(Z, y, **options)
    reference = torch_value_and_gradient(theirs, Z)
    assert_same(value, gradient, reference, ATOL_LARGE)
    assert_same(*nn.cross_entropy_and_gradient(Z, y, **options), reference, ATOL_LARGE)


@settings(deadline=None)
@given(batches(), reductions)
def test_cross_entropy_without_options_is_torchs_to_the_last_digits(batch, reduction):
    Z, y, _ = batch
    reference = torch_value_and_gradient(
        lambda z: torch.nn.functional.cross_entropy(z, torch.tensor(y), reduction=reduction), Z
    )
    value = nn.cross_entropy(Z, y, reduction=reduction)
    assert_same(value, nn.cross_entropy_backward(Z, y, reduction=reduction), reference)
    assert_same(*nn.cross_entropy_and_gradient(Z, y, reduction=reduction), reference)


def test_the_worked_example_of_the_notes():
    Z, y = np.array([[2, 1, 0.1], [0.1, 2, 1.9]]), np.array([1, 0])
    P, Y = nn.functional.softmax(Z), nn.functional.one_hot(y, 3)
    printed = 5e-4  # three decimals
    assert_allclose(P, [[0.659, 0.242, 0.099], [0.073, 0.487, 0.440]], atol=printed)
    losses = nn.cross_entropy(Z, y, reduction="none")
    assert_allclose(losses, [1.417, 2.620], atol=printed)
    # the notes' mean, 2.019, is that of the rounded losses, 2.0185; unrounded it is 2.01851
    assert_allclose(nn.cross_entropy(Z, y), 2.019, atol=printed)
    rows = [[0.330, -0.379, 0.049], [-0.464, 0.243, 0.220]]
    assert_allclose(nn.cross_entropy_backward(Z, y), rows, atol=printed)
    assert_allclose(nn.cross_entropy_loss(P, Y), nn.cross_entropy(Z, y), rtol=RTOL)
    assert_allclose(nn.cross_entropy_gradient(P, Y), nn.cross_entropy_backward(Z, y), rtol=RTOL)


def test_smaller_worked_examples():
    assert nn.cross_entropy(np.array([[2.0, 0.5]]), [0]) == pytest.approx(0.201, abs=5e-4)
    assert nn.cross_entropy(np.array([[1, 2, 0.5]]), [1]) == pytest.approx(0.464, abs=5e-4)
    P = np.array([0.02, 0.01, 0.85, 0.03, 0.01, 0.02, 0.01, 0.03, 0.01, 0.01])
    Y = np.eye(10, dtype=int)[2]
    assert nn.cross_entropy_loss(P, Y) == pytest.approx(-math.log(0.85), rel=RTOL)
    assert_allclose(nn.cross_entropy_gradient(P, Y), P - Y, rtol=RTOL)


@settings(deadline=None)
@given(batches(), st.booleans())
def test_the_notes_functions_take_one_sample_or_a_batch(batch, single):
    Z, y, _ = batch
    Z, y = (Z[:1], y[:1]) if single else (Z, y)
    P, Y = nn.functional.softmax(Z), nn.functional.one_hot(y, Z.shape[1])
    loss, gradient = torch_value_and_gradient(
        lambda z: torch.nn.functional.cross_entropy(z, torch.tensor(y)), Z
    )
    if single:
        P, Y, gradient = P[0], Y[0], gradient[0]
    # -ln P of P rounded to 16 digits: absolute error 1e-16 where P is near 1
    assert_allclose(nn.cross_entropy_loss(P, Y), loss, rtol=RTOL, atol=1e-14)
    assert_allclose(nn.cross_entropy_gradient(P, Y), gradient, rtol=RTOL, atol=ATOL)


def test_nothing_is_clipped():
    assert nn.cross_entropy_loss(np.array([0.0, 1.0]), [1, 0]) == math.inf
    assert nn.cross_entropy_loss(np.array([0.0, 1.0]), [0, 1]) == 0
    tiny = np.array([1e-300, 1.0])
    assert nn.cross_entropy_loss(tiny, [1, 0]) == pytest.approx(300 * math.log(10), rel=RTOL)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_ten_thousand_are_simply_right(dtype):
    Z = np.array([[1e4, -1e4], [1e4, -1e4]], dtype)
    assert_array_equal(nn.cross_entropy(Z, [0, 1], reduction="none"), [0, 2e4])
    assert_array_equal(nn.cross_entropy_backward(Z, [0, 1], reduction="sum"), [[0, 0], [1, -1]])
    assert_array_equal(nn.focal_loss(Z, [0, 1], reduction="none"), [0, 2e4])
    assert_array_equal(nn.focal_loss_backward(Z, [0, 1], reduction="sum"), [[0, 0], [1, -1]])
    Y = np.array([[1, 0], [0, 1]], dtype)
    loss = nn.binary_cross_entropy_with_logits(Z, Y, reduction="none")
    assert_array_equal(loss, [[0, 0], [1e4, 1e4]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_one_class_and_one_row_cost_nothing(dtype, gamma):
    Z = np.array([[-1e4]], dtype)
    assert nn.cross_entropy(Z, [0]) == 0
    assert not np.signbit(nn.cross_entropy(Z, [0]))
    assert_array_equal(nn.cross_entropy_backward(Z, [0]), [[0]])
    assert nn.focal_loss(Z, [0], gamma=gamma) == 0
    assert_array_equal(nn.focal_loss_backward(Z, [0], gamma=gamma), [[0]])
    assert nn.cross_entropy_loss(np.ones(1, dtype), [1]) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_dtype_stays(dtype, reduction):
    Z, y, Y = np.ones((3, 2), dtype), np.array([0, 1, 0]), np.ones((3, 2), dtype) / 2
    options = {"reduction": reduction}
    results = [
        *(f(Z, y, weight=[1.0, 2.0], **options) for f in CROSS_ENTROPY),
        *nn.cross_entropy_and_gradient(Z, y, **options),
        *(f(Z, y, alpha=0.5, **options) for f in FOCAL),
        *(f(Z, Y, pos_weight=2.0, **options) for f in BINARY),
        *(f(Z, Y, **options) for f in MSE),
        *(f(Y, Y) for f in (nn.cross_entropy_loss, nn.cross_entropy_gradient)),
    ]
    assert {result.dtype for result in results} == {np.dtype(dtype)}


CROSS_ENTROPY = nn.cross_entropy, nn.cross_entropy_backward
FOCAL = nn.focal_loss, nn.focal_loss_backward
BINARY = nn.binary_cross_entropy_with_logits, nn.binary_cross_entropy_with_logits_backward
MSE = nn.mse_loss, nn.mse_loss_backward


@settings(deadline=None)
@given(st.one_of(batches(), batches(1e4)), reductions, st.booleans())
def test_binary_cross_entropy_is_torchs(batch, reduction, weighted):
    Z, _, rng = batch
    Y = rng.choice([0.0, 1.0, 0.3], Z.shape)
    w = rng.uniform(0.1, 3, Z.shape[1]) if weighted else None

    def theirs(z):
        return torch.nn.functional.binary_cross_entropy_with_logits(
            z,
            torch.tensor(Y),
            pos_weight=None if w is None else torch.tensor(w),
            reduction=reduction,
        )

    mine = [f(Z, Y, pos_weight=w, reduction=reduction) for f in BINARY]
    assert_same(*mine, torch_value_and_gradient(theirs, Z), ATOL_LARGE)


def torch_focal(z, y, alpha, gamma, reduction):
    """Write the paper's formula in torch's words."""
    logp = torch.log_softmax(z, 1)[torch.arange(len(z)), torch.tensor(y)]
    alpha = torch.as_tensor(alpha, dtype=z.dtype).expand(z.shape[1])[torch.tensor(y)]
    losses = -alpha * (1 - logp.exp()) ** gamma * logp
    return losses if reduction == "none" else getattr(losses, reduction)()


@settings(deadline=None, max_examples=150)
@given(batches(5.0), reductions, st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.7]), st.booleans())
def test_focal_is_the_papers(batch, reduction, gamma, per_class):
    Z, y, rng = batch
    if Z.shape[1] == 1:  # p = 1: autograd gives 0 * inf = nan there; tested above by hand
        return
    alpha = rng.uniform(0.1, 3, Z.shape[1]) if per_class else 0.25
    reference = torch_value_and_gradient(lambda z: torch_focal(z, y, alpha, gamma, reduction), Z)
    mine = [f(Z, y, alpha=alpha, gamma=gamma, reduction=reduction) for f in FOCAL]
    assert_same(*mine, reference, atol=1e-12)  # the reference takes 1 - p, which cancels near 1


@settings(deadline=None)
@given(batches(), reductions)
def test_focal_without_focus_is_cross_entropy(batch, reduction):
    Z, y, _ = batch
    for focal, plain in zip(FOCAL, CROSS_ENTROPY, strict=True):
        expected = plain(Z, y, reduction=reduction)
        assert_allclose(focal(Z, y, gamma=0.0, reduction=reduction), expected, rtol=RTOL, atol=ATOL)


@settings(deadline=None)
@given(st.one_of(batches(), batches(1e4)), reductions)
def test_mse_is_torchs(batch, reduction):
    A, _, rng = batch
    T = rng.normal(size=A.shape)
    reference = torch_value_and_gradient(
        lambda a: torch.nn.functional.mse_loss(a, torch.tensor(T), reduction=reduction), A
    )
    assert_same(*(f(A, T, reduction=reduction) for f in MSE), reference)


@settings(deadline=None)
@given(seeds, st.floats(1e-6, 10))
def test_l2_is_half_lambda_times_the_squares(seed, strength):
    layer = nn.Linear(3, 2, rng=np.random.default_rng(seed))
    leaf = torch.tensor(layer.weight.value, requires_grad=True)
    penalty = strength / 2 * torch.linalg.matrix_norm(leaf) ** 2
    penalty.backward()
    named = {"weight": layer.weight}
    assert_allclose(nn.l2_penalty(named, strength), penalty.item(), rtol=RTOL)
    gradients = nn.l2_penalty_backward(named, strength)
    assert_allclose(gradients["weight"], leaf.grad.numpy(), rtol=RTOL)


@settings(deadline=None)
@given(batches(), st.sampled_from([0.0, 0.1]))
def test_heads_add_up(batch, eps):
    Z, y, rng = batch
    Zs = {"aperture": Z, "iso": Z + rng.normal(size=Z.shape), "shutter": 2 * Z}
    ys = {head: rng.permutation(y) for head in Zs}
    leaves = {head: torch.tensor(z, requires_grad=True) for head, z in Zs.items()}
    total = sum(
        torch.nn.functional.cross_entropy(leaves[head], torch.tensor(ys[head]), label_smoothing=eps)
        for head in Zs
    )
    total.backward()
    value = nn.multi_task_loss(Zs, ys, label_smoothing=eps)
    assert_allclose(value, total.item(), rtol=RTOL, atol=ATOL)
    gradients = nn.multi_task_loss_backward(Zs, ys, label_smoothing=eps)
    assert list(gradients) == list(Zs)
    for head, dZ in gradients.items():
        assert_allclose(dZ, leaves[head].grad.numpy(), rtol=RTOL, atol=ATOL)


Z23, nan23, inf23 = np.zeros((2, 3)), np.full((2, 3), np.nan), np.full((2, 3), -np.inf)
P23 = np.full((2, 3), 1 / 3)
BAD_LOGITS = [
    (nan23, [0, 1], r"Z must be finite, got nan at index \(0, 0\)"),
    (inf23, [0, 1], "Z must be finite, got -inf"),
    (np.zeros(3), [0], r"Z must be \(B, K\) with B >= 1 and K >= 1, got \(3,\)"),
    (np.zeros((0, 3)), [], r"B >= 1 and K >= 1, got \(0, 3\)"),
    (np.zeros((2, 0)), [0, 0], r"got \(2, 0\)"),
    (np.zeros((2, 3), int), [0, 1], "Z must be of float32 or float64, got int64"),
    (Z23, [0, 3], r"y must lie in 0\.\.2, got 0\.\.3"),
    (Z23, [-100, 0], r"y must lie in 0\.\.2, got -100"),
    (Z23, [0], r"y must be \(2,\), got \(1,\)"),
    (Z23, [0.0, 1.0], "class indices of an integer dtype, got float64"),
]


@pytest.mark.parametrize("f", [*CROSS_ENTROPY, nn.cross_entropy_and_gradient, *FOCAL])
@pytest.mark.parametrize(("Z", "y", "message"), BAD_LOGITS)
def test_bad_logits_and_classes_are_named(f, Z, y, message):
    with pytest.raises(ValueError, match=message):
        f(Z, y)


@pytest.mark.parametrize("f", [*CROSS_ENTROPY, nn.cross_entropy_and_gradient])
@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ([[1, 0, 0], [0, 1, 1]], {}, "y must have rows in .* a row that sums to 2"),
        ([[1, 0, 0], [2, -1, 0]], {}, "entries from -1"),
        (nan23, {}, "y must be finite, got nan"),
        (np.zeros((2, 2)), {}, r"y must be \(2, 3\), got \(2, 2\)"),
        ([0, 1], {"weight": [1.0, 2.0]}, r"weight must be \(3,\), got \(2,\)"),
        ([0, 1], {"weight": [1.0, -2.0, 1.0]}, "weight must not be negative, got -2"),
        ([0, 1], {"weight": [0.0, 0.0, 1.0]}, "sum to 0"),
        ([0, 1], {"label_smoothing": 1.5}, r"label_smoothing must lie in \[0, 1\], got 1.5"),
        ([0, 1], {"reduction": "average"}, "one of .*'mean'.*, got 'average'"),
    ],
)
def test_bad_targets_and_options_are_named(f, y, options, message):
    with pytest.raises(ValueError, match=message):
        f(Z23, y, **options)


W = {"weight": nn.Parameter(np.ones(2))}


@pytest.mark.parametrize(
    ("fs", "arguments", "message"),
    [
        (FOCAL, (Z23, [0, 1], -1.0), "alpha must not be negative"),
        (FOCAL, (Z23, [0, 1], [1.0, 1.0]), r"alpha must be \(3,\)"),
        (FOCAL, (Z23, [0, 1], 1.0, -1.0), "gamma must be at least 0 and finite, got -1"),
        (FOCAL, (Z23, [0, 1], 1.0, 2.0, None), "reduction must be one of"),
        (BINARY, (nan23, P23), "Z must be finite, got nan"),
        (BINARY, (Z23, np.zeros((3, 2))), r"Y must be \(2, 3\), got \(3, 2\)"),
        (BINARY, (Z23, P23 + 1), r"Y must lie in \[0, 1\]"),
        (BINARY, (np.zeros((0, 3)), np.zeros((0, 3))), r"must not be empty, got \(0, 3\)"),
        (BINARY, (Z23, P23, [1.0, 1.0]), "pos_weight must be >= 0 and fit"),
        (BINARY, (Z23, P23, -1.0), "pos_weight must be >= 0"),
        (BINARY, (Z23, P23, None, "max"), "got 'max'"),
        (MSE, (Z23, np.zeros(3)), r"T must be \(2, 3\), got \(3,\)"),
        (MSE, (Z23, nan23), "T must be finite"),
        (MSE, (np.zeros(0), np.zeros(0)), "must not be empty"),
        (MSE, (Z23, Z23, "max"), "got 'max'"),
        ((nn.l2_penalty, nn.l2_penalty_backward), (W, -1.0), "strength must be at least 0"),
        ((nn.l2_penalty, nn.l2_penalty_backward), ({"w": 1.0}, 1.0), "w must be a Parameter"),
        ((nn.multi_task_loss, nn.multi_task_loss_backward), ({}, {}), "same heads, got"),
        (
            (nn.multi_task_loss, nn.multi_task_loss_backward),
            ({"iso": Z23}, {"aperture": [0, 1]}),
            r"\['iso'\] and \['aperture'\]",
        ),
        (
            (nn.cross_entropy_loss, nn.cross_entropy_gradient),
            (P23, [[1, 0, 0], [0, 1, 1]]),
            "targets must have rows",
        ),
        (
            (nn.cross_entropy_loss, nn.cross_entropy_gradient),
            (P23 * 2, [[1, 0, 0], [0, 1, 0]]),
            "predictions must have rows",
        ),
        (
            (nn.cross_entropy_loss, nn.cross_entropy_gradient),
            (P23, [1, 0, 0]),
            r"targets must be \(2, 3\), got \(3,\)",
        ),
        (
            (nn.cross_entropy_loss, nn.cross_entropy_gradient),
            (np.zeros((0, 3)), np.zeros((0, 3))),
            r"at least 1, got \(0, 3\)",
        ),
    ],
)
def test_bad_arguments_are_named(fs, arguments, message):
    for f in fs:
        with pytest.raises(ValueError, match=message):
            f(*arguments)
