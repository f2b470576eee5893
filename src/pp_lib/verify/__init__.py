"""Where `pp_lib.nn` and PyTorch meet: gradients by hand put to the test (chapters 11 and 15)."""

from pp_lib.verify.differences import (
    ATOL_FD,
    EPS,
    RTOL_FD,
    assert_gradients_match,
    numerical_gradient,
    relative_error,
)
from pp_lib.verify.parity import RTOL_VGG16, ParityRow, torch_parity, vgg16_parity

__all__ = ["EPS", "RTOL_FD", "ATOL_FD", "numerical_gradient", "relative_error"]
__all__ += ["assert_gradients_match", "RTOL_VGG16", "ParityRow", "torch_parity", "vgg16_parity"]
