"""Reverse-mode differentiation of array programs: the chain rule, carried out by a machine."""

import numpy as np


class Variable:
    """An array that remembers how it was computed.

    Called Variable and not Tensor because the book puts it beside `torch.Tensor` on one page.
    Every operation stores, for each array it used, the function that turns dL/d(result) into
    dL/d(that array); `backward` calls these functions from the result back to the beginning.

    Parameters
    ----------
    value : array_like of float32 or float64, any shape

    Attributes
    ----------
    value : numpy.ndarray
    grad : numpy.ndarray or None
        dL/dvalue, same shape and dtype. `backward` adds to it; set it to None to start again.

    Raises
    ------
    ValueError
        If `value` is not of float32 or float64, since only such numbers have derivatives.

    Notes
    -----
    Chapter 11. Griewank & Walther 2008; Karpathy's micrograd does it for single numbers.
    """

    __array_ufunc__ = None  # so that `array + variable` asks the variable, not NumPy

    def __init__(self, value, _parents=()):
        self.value = np.asarray(value)
        if self.value.dtype not in (np.float32, np.float64):
            raise ValueError(f"value must be float32 or float64, got {self.value.dtype}")
        self.grad = None
        self._parents = _parents  # pairs: the variable used, dL/d(result) -> dL/d(variable)

    shape = property(lambda self: self.value.shape, doc="The shape of the value.")

    def __repr__(self):
        return f"Variable({self.value!r})"

    def backward(self, seed=None):
        """Add dL/d(variable) to `grad` of this variable and of all that it was computed from.

        Parameters
        ----------
        seed : array_like, shape of the value, optional
            dL/d(this variable). A single number needs none: it is the loss, and dL/dL is 1.

        Raises
        ------
        ValueError
            If the value is not a single number and no seed is given; if its shape is another.
        """
        if seed is None and self.value.size != 1:
            raise ValueError(
                f"backward starts from a single number, got shape {self.shape}: reduce it, for "
                "instance with sum(), or give seed"
            )
        seed = np.ones_like(self.value) if seed is None else np.asarray(seed, self.value.dtype)
        if seed.shape != self.shape:
            raise ValueError(f"seed must have the value's shape {self.shape}, got {seed.shape}")
        # This pass's gradients stay apart from `grad`: what an earlier pass left must not flow on.
        grads = {id(self): seed}
        for variable in _results_first(self):
            g = grads.pop(id(variable))
            variable.grad = g.copy() if variable.grad is None else variable.grad + g
            for parent, pull_back in variable._parents:
                share = _unbroadcast(pull_back(g), parent.value)
                grads[id(parent)] = grads[id(parent)] + share if id(parent) in grads else share

    def __add__(self, other):
        a, b = self, self._wrap(other)
        return Variable(a.value + b.value, ((a, lambda g: g), (b, lambda g: g)))

    def __mul__(self, other):
        a, b = self, self._wrap(other)
        return Variable(a.value * b.value, ((a, lambda g: g * b.value), (b, lambda g: g * a.value)))

    def __truediv__(self, other):
        a, b = self, self._wrap(other)
        y = a.value / b.value
        return Variable(y, ((a, lambda g: g / b.value), (b, lambda g: -g * y / b.value)))

    def __pow__(self, n):
        if np.ndim(n) != 0 or isinstance(n, Variable):
            raise ValueError(f"the exponent must be a single number, got {n!r}")
        x = self.value
        n = x.dtype.type(n)
        # x^0 is 1 everywhere, at 0 too, where n x^(n-1) would be 0 times infinity.
        return self._map(x**n, lambda g: g * n * x ** (n - 1) if n else np.zeros_like(x))

    def __matmul__(self, other):
        a, b = self, self._wrap(other)
        # A vector on the left is one row, on the right one column; NumPy drops that axis again.
        A = a.value[None] if a.value.ndim == 1 else a.value
        B = b.value[:, None] if b.value.ndim == 1 else b.value
        y = a.value @ b.value

        def as_matrix(g):
            g = g[..., None] if b.value.ndim == 1 else g
            return g if a.value.ndim > 1 else g.reshape(*g.shape[:-1], 1, g.shape[-1])

        def to_a(g):
            return _unbroadcast(as_matrix(g) @ B.swapaxes(-1, -2), A).reshape(a.shape)

        def to_b(g):
            return _unbroadcast(A.swapaxes(-1, -2) @ as_matrix(g), B).reshape(b.shape)

        return Variable(y, ((a, to_a), (b, to_b)))

    def __neg__(self):
        return self._map(-self.value, lambda g: -g)

    def __sub__(self, other):
        return self + -self._wrap(other)

    def __rsub__(self, other):
        return self._wrap(other) - self

    def __rtruediv__(self, other):
        return self._wrap(other) / self

    def __rmatmul__(self, other):
        return self._wrap(other) @ self

    __radd__, __rmul__ = __add__, __mul__

    def __getitem__(self, key):
        def pull_back(g):
            dx = np.zeros_like(self.value)
            np.add.at(dx, key, g)  # an element taken twice gets both shares
            return dx

        return self._map(self.value[key], pull_back)

    def exp(self):
        """Give e to the power of every number."""
        y = np.exp(self.value)
        return self._map(y, lambda g: g * y)

    def log(self):
        """Give the natural logarithm of every number."""
        return self._map(np.log(self.value), lambda g: g / self.value)

    def relu(self):
        """Give max(x, 0); the derivative at 0 is taken as 0, as in PyTorch."""
        positive = self.value > 0
        return self._map(np.maximum(self.value, 0), lambda g: g * positive)

    def tanh(self):
        """Give the hyperbolic tangent of every number."""
        y = np.tanh(self.value)
        return self._map(y, lambda g: g * (1 - y * y))

    def sigmoid(self):
        """Give 1 / (1 + exp(-x)) of every number, without overflow."""
        e = np.exp(-np.abs(self.value))
        y = np.where(self.value >= 0, 1 / (1 + e), e / (1 + e))
        return self._map(y, lambda g: g * y * (1 - y))

    def sum(self, axis=None, keepdims=False):
        """Add up over one axis, several, or all."""
        x, spread = self.value, _spreader(self.value, axis, keepdims)
        y = x.sum(axis=axis, keepdims=keepdims)
        return self._map(y, lambda g: np.broadcast_to(spread(g), x.shape))

    def mean(self, axis=None, keepdims=False):
        """Average over one axis, several, or all."""
        y = self.sum(axis, keepdims)
        return y * (y.value.size / self.value.size)

    def max(self, axis=None, keepdims=False):
        """Give the largest; equal ones share the gradient evenly, as in `torch.amax`."""
        x, spread = self.value, _spreader(self.value, axis, keepdims)
        y = x.max(axis=axis, keepdims=keepdims)
        largest = x == spread(y)
        share = largest / largest.sum(axis=axis, keepdims=True)
        return self._map(y, lambda g: spread(g) * share)

    def logsumexp(self, axis=-1, keepdims=False):
        """Give log(sum(exp(x))) over an axis, without overflow."""
        x, spread = self.value, _spreader(self.value, axis, keepdims)
        m = x.max(axis=axis, keepdims=True)
        m = np.where(np.isfinite(m), m, 0).astype(x.dtype)  # inf - inf would be nan
        e = np.exp(x - m)
        total = e.sum(axis=axis, keepdims=True)
        y = np.log(total) + m
        return self._map(y if keepdims else y.squeeze(axis), lambda g: spread(g) * (e / total))

    def log_softmax(self, axis=-1):
        """Give x - logsumexp(x) along an axis: the logarithms of the probabilities."""
        shifted = self - self.value.max(axis=axis, keepdims=True)  # keeps the digits of log(sum)
        return shifted - shifted.logsumexp(axis, keepdims=True)

    def reshape(self, *shape):
        """Arrange the same numbers in another shape."""
        return self._map(self.value.reshape(*shape), lambda g: g.reshape(self.shape))

    def transpose(self, *axes):
        """Permute the axes; with none given, reverse them."""
        order = [i % self.value.ndim for i in axes or range(self.value.ndim)[::-1]]
        return self._map(self.value.transpose(order), lambda g: g.transpose(np.argsort(order)))

    T = property(transpose, doc="The transpose: all axes reversed.")

    def _map(self, value, pull_back):
        return Variable(value, ((self, pull_back),))

    def _wrap(self, other):
        if isinstance(other, Variable):
            return other
        other = np.asarray(other)
        # Single numbers and masks follow the variable's dtype: 2 * x stays float32 if x is.
        follows = other.ndim == 0 or other.dtype.kind in "biu"
        return Variable(other.astype(self.value.dtype) if follows else other)


def _results_first(last):
    """List all variables behind `last`, each after everything that used it; without recursion."""
    inputs_first, seen, stack = [], set(), [(last, False)]
    while stack:
        variable, inputs_are_listed = stack.pop()
        if inputs_are_listed:
            inputs_first.append(variable)
        elif id(variable) not in seen:
            seen.add(id(variable))
            stack.append((variable, True))
            stack.extend((parent, False) for parent, _ in variable._parents)
    return inputs_first[::-1]


def _unbroadcast(g, value):
    """Sum a gradient over the axes along which `value` was repeated to meet its partner."""
    if g.shape != value.shape:
        g = g.sum(axis=tuple(range(g.ndim - value.ndim)))
        g = g.sum(axis=tuple(i for i, n in enumerate(value.shape) if n == 1), keepdims=True)
    return g.astype(value.dtype, copy=False)


def _spreader(x, axis, keepdims):
    """Give a function that puts the reduced axes back, so that g broadcasts to x again."""
    reduced = tuple(range(x.ndim)) if axis is None else axis
    return lambda g: g if keepdims else np.expand_dims(g, reduced)
