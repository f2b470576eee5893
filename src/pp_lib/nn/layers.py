"""Layers: forward computes, backward hands the gradient on. Names and shapes are PyTorch's."""

import numpy as np

from pp_lib.nn.checks import as_floats, same_shape
from pp_lib.nn.init import xavier_uniform
from pp_lib.nn.parameter import Parameter


class Layer:
    """What all layers share.

    A subclass writes `forward(x)`, which gives y and remembers what the way back needs, and
    `backward(dy)`, which gives dx and sets (never adds to) the gradient of each parameter.
    """

    training = True

    def __call__(self, x):
        """Do the same as `forward`."""
        return self.forward(x)

    def forward(self, x):
        """Give y for x, and remember what `backward` needs."""
        raise NotImplementedError(f"{type(self).__name__} must write forward")

    def backward(self, dy):
        """Give dL/dx for dL/dy of the latest forward, and set the parameters' gradients."""
        raise NotImplementedError(f"{type(self).__name__} must write backward")

    def parameters(self):
        """Give what is learned, as a dict from PyTorch's name to `Parameter`."""
        return {}

    def train(self, mode=True):
        """Switch to training (or, with False, to evaluation) and give the layer."""
        self.training = mode
        return self

    def eval(self):
        """Switch to evaluation: dropout lets all through. Gives the layer."""
        return self.train(False)

    def _recall(self, name):
        if not hasattr(self, name):
            raise ValueError(f"{type(self).__name__}: backward needs a forward before it")
        return getattr(self, name)


class Linear(Layer):
    """Give y = x W^T + b (chapter 5).

    Weights are drawn by Xavier's uniform rule and biases start at 0: the book's choice (chapter
    7), where PyTorch draws both from U(-1/sqrt(in), 1/sqrt(in)).

    Parameters
    ----------
    in_features, out_features : int
        D and K, at least 1.
    bias : bool
    rng : numpy.random.Generator
    dtype : numpy.float32 or numpy.float64

    Attributes
    ----------
    weight : Parameter, (K, D)
    bias : Parameter, (K,), or None
    input_gradient : bool
        True; set False where x is data, not another layer's y: backward then gives None in place
        of dx, and saves a third of the work, as PyTorch does where x requires no gradient.

    Raises
    ------
    ValueError
        For sizes below 1, another dtype, or no generator.
    """

    input_gradient = True

    def __init__(self, in_features, out_features, bias=True, *, rng, dtype=np.float64):
        shape = (out_features, in_features)
        self.weight = Parameter(xavier_uniform(shape, rng=rng, dtype=dtype), "weight")
        self.bias = Parameter(np.zeros(out_features, dtype), "bias") if bias else None

    def forward(self, x):
        """Give y.

        Parameters
        ----------
        x : numpy.ndarray, (B, D), B >= 1, of the weights' dtype
            More axes in front of the last are welcome, and so is (D,).

        Returns
        -------
        numpy.ndarray, (B, K)

        Raises
        ------
        ValueError
            For another number of features, another dtype, or an empty batch.
        """
        W, x = self.weight.value, as_floats(x, "x")
        if x.ndim == 0 or x.shape[-1] != W.shape[1] or x.size == 0:
            raise ValueError(f"x must be (B, {W.shape[1]}) with B >= 1, got {x.shape}")
        if x.dtype != W.dtype:
            raise ValueError(f"x must be {W.dtype} like the weights, got {x.dtype}")
        self._x = x
        rows = x.reshape(-1, W.shape[1])  # (B, D), whatever axes the batch has
        y = _product(W, rows.T).T.reshape(*x.shape[:-1], -1)  # x @ W.T, the larger factor first
        if self.bias is not None:
            y += self.bias.value
        return y

    def backward(self, dy):
        """Give dx = dy W, and set dW = dy^T x and db = sum of dy over the batch (chapter 5).

        Parameters
        ----------
        dy : numpy.ndarray, (B, K)

        Returns
        -------
        numpy.ndarray, (B, D)
            None where `input_gradient` is False.

        Raises
        ------
        ValueError
            For another shape or dtype than forward gave, or without a forward before.
        """
        x, W = self._recall("_x"), self.weight.value
        dy = same_shape(as_floats(dy, "dy"), (*x.shape[:-1], W.shape[0]), "dy")
        if dy.dtype != W.dtype:
            raise ValueError(f"dy must be {W.dtype} like the weights, got {dy.dtype}")
        rows = dy.reshape(-1, W.shape[0])  # (B, K), whatever axes the batch has
        self.weight.grad = None  # so that the new one may lie where the old one lay
        self.weight.grad = _product(rows.T, x.reshape(-1, W.shape[1]))  # (K, B)(B, D)
        if self.bias is not None:
            self.bias.grad = rows.sum(axis=0)
        return dy @ W if self.input_gradient else None  # (B, K)(K, D)

    def parameters(self):
        """Give "weight" and, where there is one, "bias"."""
        named = {"weight": self.weight, "bias": self.bias}
        return {name: p for name, p in named.items() if p is not None}


def _product(A, B):
    """Give A @ B, an eighth of A's rows at a time where BLAS is faster so.

    It first copies both factors into an order of its own, which for a batch of 32 takes a third of
    the time; OpenBLAS leaves that out for up to a million products.
    """
    rows, products = len(A), A.size * B.shape[1]
    if rows % 8 or not 1 < products / 1_000_000 <= 8:
        return A @ B
    return (A.reshape(8, rows // 8, -1) @ B).reshape(rows, -1)


class ReLU(Layer):
    """Give max(x, 0), for x of any shape; the gradient at 0 is 0, as PyTorch's (chapter 6).

    Attributes
    ----------
    branch : numpy.ndarray of bool, the shape of x
        Where the latest x was above 0.
    """

    def forward(self, x):
        """Give max(x, 0), the shape of x."""
        x = as_floats(x, "x")
        self.branch = x > 0
        return np.maximum(x, 0)

    def backward(self, dy):
        """Give dy where x > 0 and 0 elsewhere; dy must have the shape of x."""
        passed = self._recall("branch")
        return same_shape(as_floats(dy, "dy"), passed.shape, "dy") * passed


class Flatten(Layer):
    """Give (B, C, H, W), or any (B, ...), as (B, C H W), in C order as PyTorch does."""

    def forward(self, x):
        """Give x as rows; an empty batch or no batch axis is a ValueError."""
        x = as_floats(x, "x")
        if x.ndim == 0 or x.size == 0:
            raise ValueError(f"x must be (B, ...) with B >= 1, got {x.shape}")
        self._shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy):
        """Give dy, rows, in the shape that x had."""
        shape = self._recall("_shape")
        dy = as_floats(dy, "dy")
        return same_shape(dy, (shape[0], dy.size // shape[0]), "dy").reshape(shape)


class Sequential(Layer):
    """Apply layers in turn; backward goes through them in reverse: the chain rule (chapter 11).

    Parameters
    ----------
    *layers : Layer
        None twice, because each remembers only its latest forward.

    Raises
    ------
    ValueError
        For something that is no layer, or one layer twice.
    """

    def __init__(self, *layers):
        for layer in layers:
            if not isinstance(layer, Layer):
                raise ValueError(f"Sequential takes layers, got {type(layer).__name__}")
        if len(set(map(id, layers))) != len(layers):
            raise ValueError("a layer can stand in a Sequential only once, one came twice")
        self.layers = layers

    def forward(self, x):
        """Give the last layer's y; x is what the first layer takes."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy):
        """Give dL/dx of the first layer's x, for dL/dy of the last layer's y."""
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

    def parameters(self):
        """Give all parameters, named "0.weight", "0.bias", "2.weight", ..."""
        return {
            f"{i}.{name}": parameter
            for i, layer in enumerate(self.layers)
            for name, parameter in layer.parameters().items()
        }

    def train(self, mode=True):
        """Switch all layers to training or evaluation, and give the sequence."""
        for layer in self.layers:
            layer.train(mode)
        return super().train(mode)

    def __getitem__(self, i):
        return self.layers[i]

    def __len__(self):
        return len(self.layers)
