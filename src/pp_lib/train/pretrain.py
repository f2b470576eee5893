"""The way from the command `photopilot pretrain` to the package that does it."""

from pp_pretrain.config import PretrainConfig
from pp_pretrain.loop import pretrain

__all__ = ["PretrainConfig", "pretrain"]
