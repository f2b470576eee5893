"""Convolution and pooling on images as matrix products, forward and backward."""

import math

import numpy as np

from pp_lib.nn.checks import as_generator
from pp_lib.nn.layers import Layer
from pp_lib.nn.parameter import Parameter
from pp_lib.nn.windows import check_gradient, check_images, count_windows, pair, windows


class Conv2d(Layer):
    """Slide K small kernels over an image: cross-correlation, as PyTorch's `Conv2d`.

    Every window the kernel sees is laid out as one column; all windows of one photograph together
    are the matrix ``cols``, and the convolution is ``W @ cols``. The matrix exists for one
    photograph at a time and is built again in `backward`: it has kernel-height times kernel-width
    as many numbers as the input, too many to keep for every layer and photograph.

    Parameters
    ----------
    in_channels, out_channels : int
        C and K.
    kernel_size, stride, padding : int or pair of int
        Rows and columns; padding is with zeros, on both sides.
    bias : bool
        Whether K biases are added.
    rng : numpy.random.Generator
        Source of weight (K, C, kh, kw) and bias (K,), both uniform within +-1/sqrt(C kh kw) as in
        PyTorch.
    dtype : float32 or float64
        Of parameters, inputs and results alike.

    Raises
    ------
    ValueError
        For impossible sizes, and for inputs of another shape or dtype than said here.

    Notes
    -----
    Chapter 14. Chellapilla, Puri & Simard 2006 (convolution as a matrix product).
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        bias=True,
        *,
        rng,
        dtype=np.float64,
    ):
        self.C, self.K = pair("in_channels, out_channels", (in_channels, out_channels))
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride = pair("stride", stride)
        self.padding = pair("padding", padding, least=0)
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
        as_generator(rng)
        shape = (self.K, self.C, *self.kernel_size)
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        self.weight = Parameter(rng.uniform(-bound, bound, shape).astype(dtype), "weight")
        b = rng.uniform(-bound, bound, self.K).astype(dtype)
        self.bias = Parameter(b, "bias") if bias else None
        self._x = self._y_shape = None

    def parameters(self):
        """Give the parameters under PyTorch's names."""
        return {"weight": self.weight} | ({"bias": self.bias} if self.bias is not None else {})

    def forward(self, x):
        """Convolve photographs, (B, C, H, W) -> (B, K, OH, OW)."""
        W = self.weight.value
        check_images(x, channels=self.C, dtype=W.dtype)
        OH, OW = count_windows(x.shape[2:], self.kernel_size, self.stride, self.padding)
        W = W.reshape(self.K, -1)  # (K, C kh kw)
        y = np.empty((len(x), self.K, OH * OW), dtype=x.dtype)
        cols = self._empty_columns(x, OH, OW)
        for x_i, y_i in zip(x, y, strict=True):
            np.matmul(W, self._to_columns(x_i, cols), out=y_i)  # (K, C kh kw)(C kh kw, OH OW)
        if self.bias is not None:
            y += self.bias.value[:, None]
        self._x, self._y_shape = x, (len(x), self.K, OH, OW)
        return y.reshape(self._y_shape)

    def backward(self, dy):
        """Turn dL/dy (B, K, OH, OW) into dL/dx (B, C, H, W); set the parameters' gradients."""
        x, W = self._x, self.weight.value.reshape(self.K, -1)
        check_gradient(dy, self._y_shape, W.dtype)
        OH, OW = dy.shape[2:]
        dY = dy.reshape(len(x), self.K, OH * OW)
        dW, dx = np.zeros_like(W), np.empty_like(x)
        cols, dW_i = self._empty_columns(x, OH, OW), np.empty_like(W)
        for x_i, dY_i, dx_i in zip(x, dY, dx, strict=True):
            matrix = self._to_columns(x_i, cols)
            dW += np.matmul(dY_i, matrix.T, out=dW_i)  # (K, OH OW)(OH OW, C kh kw)
            np.matmul(W.T, dY_i, out=matrix)  # d(cols) takes the place of cols: (C kh kw, OH OW)
            dx_i[:] = self._from_columns(cols, dx_i.shape)
        self.weight.grad = dW.reshape(self.weight.value.shape)
        if self.bias is not None:
            self.bias.grad = dY.sum(axis=(0, 2))
        return dx

    def _empty_columns(self, x, OH, OW):
        return np.empty((self.C, *self.kernel_size, OH, OW), dtype=x.dtype)

    def _padded(self, x_i):
        (ph, pw), (C, H, W) = self.padding, x_i.shape
        padded = np.zeros((C, H + 2 * ph, W + 2 * pw), dtype=x_i.dtype)
        padded[:, ph : ph + H, pw : pw + W] = x_i
        return padded

    def _to_columns(self, x_i, cols):
        padded = self._padded(x_i)
        for i, j, window in windows(self.kernel_size, self.stride, cols.shape[-2:]):
            cols[:, i, j] = padded[window]
        return cols.reshape(-1, cols.shape[-2] * cols.shape[-1])  # a view

    def _from_columns(self, cols, shape):
        # A pixel takes part in several windows, so its gradients add up.
        (ph, pw), (C, H, W) = self.padding, shape
        padded = np.zeros((C, H + 2 * ph, W + 2 * pw), dtype=cols.dtype)
        for i, j, window in windows(self.kernel_size, self.stride, cols.shape[-2:]):
            padded[window] += cols[:, i, j]
        return padded[:, ph : ph + H, pw : pw + W]


class MaxPool2d(Layer):
    """Keep the largest number of every window, (B, C, H, W) -> (B, C, OH, OW), as PyTorch.

    Equal numbers: the first in reading order wins and takes the whole gradient. A nan always wins.
    Rows and columns that fill no whole window are left out, and their gradient is zero.

    Parameters
    ----------
    kernel_size, stride : int or pair of int
        Rows and columns; the stride is the kernel's size if not given.

    Attributes
    ----------
    branch : numpy.ndarray of int32, (B, C, OH, OW)
        Which place of its window, in reading order, gave the latest largest number.

    Raises
    ------
    ValueError
        For impossible sizes, and for inputs that are not floating (B, C, H, W).

    Notes
    -----
    Chapter 14.
    """

    def __init__(self, kernel_size, stride=None):
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair("stride", stride)
        self.branch = self._x_shape = self._y_shape = self._dtype = None

    def forward(self, x):
        """Give the largest number of every window."""
        check_images(x)
        OH, OW = count_windows(x.shape[2:], self.kernel_size, self.stride)
        y = np.full((*x.shape[:2], OH, OW), -np.inf, dtype=x.dtype)
        winner = np.zeros(y.shape, dtype=np.int32)
        for i, j, window in windows(self.kernel_size, self.stride, (OH, OW)):
            candidate = x[window]
            better = (candidate > y) | np.isnan(candidate)
            np.copyto(y, candidate, where=better)
            np.copyto(winner, i * self.kernel_size[1] + j, where=better)
        self.branch, self._x_shape, self._y_shape, self._dtype = winner, x.shape, y.shape, x.dtype
        return y

    def backward(self, dy):
        """Hand dL/dy of every window to its largest number; dL/dx has the shape of x."""
        check_gradient(dy, self._y_shape, self._dtype)
        dx = np.zeros(self._x_shape, dtype=self._dtype)
        for i, j, window in windows(self.kernel_size, self.stride, self._y_shape[2:]):
            dx[window] += np.where(self.branch == i * self.kernel_size[1] + j, dy, 0)
        return dx


class AdaptiveAvgPool2d(Layer):
    """Average down, or spread out, to a fixed size: (B, C, H, W) -> (B, C, OH, OW), as PyTorch.

    Row o averages the input's rows floor(o H / OH) up to ceil((o + 1) H / OH), so windows may
    overlap. A mean over rows is a product with a matrix A (OH, H), and one over columns with
    another: ``y = A_rows @ x @ A_columns.T``.

    Parameters
    ----------
    output_size : int or pair of int

    Raises
    ------
    ValueError
        For an impossible size, and for inputs that are not floating (B, C, H, W).

    Notes
    -----
    Chapter 14.
    """

    def __init__(self, output_size):
        self.output_size = pair("output_size", output_size)
        self._averages = self._y_shape = self._dtype = None

    def forward(self, x):
        """Average every window."""
        check_images(x)
        (OH, OW), (H, W) = self.output_size, x.shape[2:]
        self._averages = rows, columns = _averaging(OH, H, x.dtype), _averaging(OW, W, x.dtype)
        self._y_shape, self._dtype = (*x.shape[:2], *self.output_size), x.dtype
        return rows @ x @ columns.T  # (OH, H)(B, C, H, W)(W, OW)

    def backward(self, dy):
        """Spread dL/dy evenly over each window; dL/dx has the shape of x."""
        check_gradient(dy, self._y_shape, self._dtype)
        rows, columns = self._averages
        return rows.T @ dy @ columns


def _averaging(n_windows, size, dtype):
    A = np.zeros((n_windows, size), dtype=dtype)
    for o in range(n_windows):
        start, stop = o * size // n_windows, -(-(o + 1) * size // n_windows)
        A[o, start:stop] = 1 / (stop - start)
    return A
