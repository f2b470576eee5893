"""The array engine: every operation against torch autograd, and against finite differences."""

import operator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pp_lib.nn.autograd import Variable
from pp_lib.verify import assert_gradients_match, numerical_gradient

RTOL = 1e-12  # float64: both sides do the same few operations, each right to 1.1e-16
ATOL = 1e-13  # sums of numbers up to 10 may cancel to nearly nothing
RTOL32 = 1e-5  # float32: the same argument with 6e-8

VALUES = st.floats(-10, 10).map(lambda v: round(v, 3))  # no subnormals, whose rounding differs
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, max_side=4)
QUICK = settings(deadline=None, max_examples=50)  # 30 such tests; torch's first call is slow


def arrays(shapes=SHAPES, values=VALUES):
    return hnp.arrays(np.float64, shapes, elements=values)


def positive(x):
    return np.abs(x) + 0.5


def check_against_torch(of_variables, of_tensors, *values, rtol=RTOL, atol=ATOL):
    """Compare value and gradients, from a seed that makes every element count differently."""
    variables = [Variable(v) for v in values]
    tensors = [torch.tensor(v, requires_grad=True) for v in values]
    y, y_torch = of_variables(*variables), of_tensors(*tensors)
    assert y.shape == tuple(y_torch.shape)
    assert y.value.dtype == values[0].dtype
    np.testing.assert_allclose(y.value, y_torch.detach().numpy(), rtol=rtol, atol=atol)
    seed = np.linspace(-1, 2, max(y.value.size, 1)).reshape(y.shape).astype(y.value.dtype)
    y.backward(seed)
    y_torch.backward(torch.from_numpy(seed))
    for variable, tensor in zip(variables, tensors, strict=True):
        assert variable.grad.dtype == variable.value.dtype
        assert variable.grad.shape == variable.value.shape
        np.testing.assert_allclose(variable.grad, tensor.grad.numpy(), rtol=rtol, atol=atol)


BINARY = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": lambda a, b: a / (b * b + 0.5),
}
UNARY = {
    "neg": (operator.neg, operator.neg),
    "exp": (Variable.exp, torch.exp),
    "log": (lambda x: (x * x + 0.5).log(), lambda x: (x * x + 0.5).log()),
    "relu": (Variable.relu, torch.relu),
    "tanh": (Variable.tanh, torch.tanh),
    "sigmoid": (Variable.sigmoid, torch.sigmoid),
    "square": (lambda x: x**2, lambda x: x**2),
    "cube": (lambda x: x**3, lambda x: x**3),
    "to the 0": (lambda x: x**0, lambda x: x**0),
    "root": (lambda x: (x * x + 0.5) ** 0.5, lambda x: (x * x + 0.5) ** 0.5),
    "number on the left": (lambda x: 3 - 2 / (x * x + 1), lambda x: 3 - 2 / (x * x + 1)),
    "used three times": (lambda x: x * x + x, lambda x: x * x + x),
    "transpose": (lambda x: x.T, lambda x: x.permute(tuple(range(x.ndim))[::-1])),
    "flat": (lambda x: x.reshape(-1), lambda x: x.reshape(-1)),
}


@pytest.mark.parametrize("name", BINARY)
@QUICK
@given(data=st.data())
def test_two_arrays_of_shapes_that_broadcast(name, data):
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
    a, b = (data.draw(arrays(shape)) for shape in shapes.input_shapes)
    check_against_torch(BINARY[name], BINARY[name], a, b)


@pytest.mark.parametrize("name", UNARY)
@QUICK
@given(x=arrays())
def test_one_array(name, x):
    # exp reaches 2e4, a cube 1e3: what is small beside that is rounding.
    check_against_torch(*UNARY[name], x, atol=ATOL * max(1, np.abs(x).max() ** 2))


MATRIX_SHAPES = [
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (6, 3, 4)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((1, 3), (3, 1)),
]


@pytest.mark.parametrize(("left", "right"), MATRIX_SHAPES, ids=str)
def test_matrix_products(left, right):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(left), rng.standard_normal(right)
    check_against_torch(operator.matmul, operator.matmul, a, b)


REDUCTIONS = {
    "sum": (Variable.sum, torch.sum),
    "mean": (Variable.mean, torch.mean),
    "max": (Variable.max, torch.amax),
    "logsumexp": (Variable.logsumexp, torch.logsumexp),
}


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", REDUCTIONS)
@QUICK
@given(data=st.data())
def test_reductions_over_any_axes(name, keepdims, data):
    ours, theirs = REDUCTIONS[name]
    x = data.draw(arrays(hnp.array_shapes(max_dims=4, max_side=4)))
    axis = data.draw(hnp.valid_tuple_axes(x.ndim, min_size=1))
    check_against_torch(
        lambda v: ours(v, axis=axis, keepdims=keepdims),
        lambda t: theirs(t, dim=axis, keepdim=keepdims),
        x,
    )


@QUICK
@given(x=arrays(hnp.array_shapes(max_dims=3)))
def test_reductions_over_everything_and_log_softmax(x):
    check_against_torch(Variable.sum, torch.sum, x)
    check_against_torch(Variable.mean, torch.mean, x)
    check_against_torch(Variable.max, torch.max, x)
    check_against_torch(lambda v: v.log_softmax(), lambda t: t.log_softmax(-1), x)
    check_against_torch(lambda v: v.log_softmax(axis=0), lambda t: t.log_softmax(0), x)


@pytest.mark.parametrize(
    "key",
    [
        1,
        -1,
        np.s_[1:],
        np.s_[:, ::2],
        np.s_[..., None],
        (np.array([0, 2, 2, 0]), np.array([1, 1, 1, 3])),  # an element taken twice
        np.array([[2, 0], [0, 0]]),
        np.arange(12).reshape(3, 4) % 2 == 0,
    ],
    ids=str,
)
def test_indexing(key):
    x = np.random.default_rng(1).standard_normal((3, 4))

    def of_torch(part):
        return torch.from_numpy(part) if isinstance(part, np.ndarray) else part

    key_torch = tuple(map(of_torch, key)) if isinstance(key, tuple) else of_torch(key)
    check_against_torch(lambda v: v[key], lambda t: t[key_torch], x)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, -1, 0)])
def test_transposing_and_reshaping_put_every_gradient_back(order):
    x = np.random.default_rng(2).standard_normal((2, 3, 4))
    check_against_torch(
        lambda v: v.transpose(*order).reshape(6, 4), lambda t: t.permute(order).reshape(6, 4), x
    )


def network(x, W1, b1, W2, b2, softmax_of):
    """Mean cross-entropy of a two-layer network for the classes 0, 1, 2, 0."""
    log_P = softmax_of((x @ W1.T + b1).relu() @ W2.T + b2)
    return -log_P[np.arange(4), np.array([0, 1, 2, 0])].mean()


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, RTOL), (np.float32, RTOL32)])
def test_a_whole_network(dtype, rtol):
    rng = np.random.default_rng(3)
    shapes = [(4, 6), (5, 6), (5,), (3, 5), (3,)]
    values = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    check_against_torch(
        lambda *v: network(*v, Variable.log_softmax),
        lambda *t: network(*t, lambda z: z.log_softmax(-1)),
        *values,
        rtol=rtol,
        atol=rtol * 0.1,
    )


def test_a_whole_network_by_finite_differences():
    rng = np.random.default_rng(4)
    values = [rng.standard_normal(shape) for shape in [(4, 6), (5, 6), (5,), (3, 5), (3,)]]
    variables = [Variable(v) for v in values]
    network(*variables, Variable.log_softmax).backward()

    for i, variable in enumerate(variables):

        def loss(v, i=i):
            others = [Variable(w) for w in values]
            others[i] = Variable(v)
            return network(*others, Variable.log_softmax).value

        assert_gradients_match(variable.grad, numerical_gradient(loss, values[i]))


def test_logits_of_ten_thousand():
    x = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]])
    check_against_torch(lambda v: v.log_softmax(), lambda t: t.log_softmax(-1), x)
    check_against_torch(Variable.sigmoid, torch.sigmoid, x)
    check_against_torch(Variable.tanh, torch.tanh, x)


def test_equal_largest_share_evenly_and_relu_at_zero_gives_zero():
    x = Variable(np.array([2.0, 2.0, 1.0, 0.0]))
    (x.max() + x.relu().sum()).backward()
    np.testing.assert_array_equal(x.grad, [1.5, 1.5, 1.0, 0.0])


def test_arrays_and_numbers_on_the_left():
    x = np.array([1.0, 2.0], dtype=np.float32)
    v, mask = Variable(x), np.array([True, False])
    for y in (x + v, x * v, x - v, x / v, np.float64(2) * v, mask * v, np.float32(1) / v, 2 - v):
        assert isinstance(y, Variable)
        assert y.value.dtype == np.float32
    assert isinstance(np.eye(2, dtype=np.float32) @ v, Variable)


def test_float32_beside_float64_gets_a_float32_gradient():
    a, b = Variable(np.ones(2, np.float32)), Variable(np.ones(2))
    (a * b).sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)


def test_two_passes_add_up_and_none_starts_again():
    x = Variable(np.array([3.0]))
    y = x * x  # part of both passes: its old gradient must not flow a second time
    for expected in (12.0, 24.0):
        (y * 2).sum().backward()
        assert x.grad.item() == expected
    x.grad = None
    y.sum().backward()
    assert x.grad.item() == 6


def test_many_paths_are_walked_once():
    # 60 doublings have 2^60 paths; each variable must nevertheless be visited only once.
    x = y = Variable(np.array(1.0))
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad == 2.0**60


def test_a_long_chain_needs_no_recursion():
    x = y = Variable(np.array(0.5))
    for _ in range(50_000):
        y = y + 0.0
    y.backward()
    assert x.grad == 1


def test_backward_leaves_seed_and_values_alone():
    x, seed = Variable(np.ones(3)), np.arange(3.0)
    y = x + 0.0
    y.backward(seed)
    x.grad += 100
    y.grad += 100
    np.testing.assert_array_equal(seed, np.arange(3.0))
    np.testing.assert_array_equal(x.value, np.ones(3))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Variable([1, 2, 3]), "float32 or float64, got int64"),
        (lambda: Variable("text"), "float32 or float64, got <U4"),
        (lambda: Variable(np.ones(2, np.float16)), "float32 or float64, got float16"),
        (lambda: Variable(np.ones(3)).backward(), r"single number, got shape \(3,\)"),
        (lambda: Variable(np.ones(0)).backward(), r"single number, got shape \(0,\)"),
        (lambda: Variable(np.ones(3)).backward(np.ones(2)), r"shape \(3,\), got \(2,\)"),
        (lambda: Variable(np.ones(3)).backward(1.0), r"shape \(3,\), got \(\)"),
        (lambda: Variable(np.ones(3)) ** np.ones(3), "exponent must be a single number"),
        (lambda: Variable(np.ones(3)) ** Variable(2.0), "exponent must be a single number"),
        (lambda: Variable(np.ones(3)) + np.ones(2), r"\(3,\) \(2,\)"),
        (lambda: Variable(np.ones((2, 3))) @ np.ones((2, 3)), "size 2 is different from 3"),
    ],
)
def test_bad_input_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


@pytest.mark.parametrize(
    ("name", "which"),
    [(name, -1) for name in UNARY if name != "to the 0"]  # whose gradient is 0 with any error
    + [(name, which) for name in BINARY for which in (0, 1)],
)
def test_an_error_of_a_thousandth_in_any_operation_is_caught(name, which):
    # The tester tested: the same comparison must fail when one pull-back is 0.1 % too large.
    x = np.array([[0.5, -1.5], [2.0, 1.0]])
    ours, theirs = UNARY[name] if name in UNARY else (BINARY[name],) * 2
    values = (x,) if name in UNARY else (x, x + 0.25)

    def planted(*variables):
        y = ours(*variables)
        parents = list(y._parents)
        parent, pull_back = parents[which]
        parents[which] = parent, lambda g: 1.001 * pull_back(g)
        return Variable(y.value, tuple(parents))

    check_against_torch(ours, theirs, *values)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_against_torch(planted, theirs, *values)
