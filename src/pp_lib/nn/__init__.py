"""A neural network in NumPy, every gradient by hand (chapters 5 to 15).

Names, shapes, defaults and edge cases are PyTorch's; float32 and float64 are kept as given.
"""

from pp_lib.nn import functional, init
from pp_lib.nn.conv import AdaptiveAvgPool2d, Conv2d, MaxPool2d
from pp_lib.nn.dropout import Dropout
from pp_lib.nn.layers import Flatten, Layer, Linear, ReLU, Sequential
from pp_lib.nn.losses import (
    cross_entropy,
    cross_entropy_and_gradient,
    cross_entropy_backward,
    cross_entropy_gradient,
    cross_entropy_loss,
    focal_loss,
    focal_loss_backward,
    multi_task_loss,
    multi_task_loss_backward,
)
from pp_lib.nn.optim import SGD, Adam, AdamW, RMSProp
from pp_lib.nn.parameter import Parameter
from pp_lib.nn.regression import (
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_backward,
    l2_penalty,
    l2_penalty_backward,
    mse_loss,
    mse_loss_backward,
)
from pp_lib.nn.schedule import ReduceLROnPlateau

__all__ = ["functional", "init", "Parameter", "Layer", "Linear", "ReLU", "Conv2d", "MaxPool2d"]
__all__ += ["AdaptiveAvgPool2d", "Dropout", "Flatten", "Sequential", "cross_entropy"]
__all__ += ["cross_entropy_and_gradient", "cross_entropy_backward", "cross_entropy_loss"]
__all__ += ["cross_entropy_gradient", "focal_loss", "focal_loss_backward", "multi_task_loss"]
__all__ += ["multi_task_loss_backward", "binary_cross_entropy_with_logits"]
__all__ += ["binary_cross_entropy_with_logits_backward", "mse_loss", "mse_loss_backward"]
__all__ += ["l2_penalty", "l2_penalty_backward", "SGD", "RMSProp", "Adam", "AdamW"]
__all__ += ["ReduceLROnPlateau"]
