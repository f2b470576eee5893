"""A learning rate that falls when the loss stops falling, as ``torch.optim.lr_scheduler``'s."""

import math


class ReduceLROnPlateau:
    """Multiply the learning rate by `factor` after more than `patience` bad epochs (chapter 12).

    An epoch is bad if its metric is not better than the best so far by more than the threshold;
    nan never is. So the rate falls on bad epoch number patience + 1.

    Parameters
    ----------
    optimizer : Optimizer
    mode : {"min", "max"}
        Whether small or large metrics are good.
    factor : float
        Above 0 and below 1.
    patience : int
        Bad epochs that pass unpunished.
    threshold : float
    threshold_mode : {"rel", "abs"}
        Whether better means by a share of the best so far or by an amount.
    cooldown : int
        Epochs after a reduction that are not counted.
    min_lr : float
    eps : float
        A change of the rate smaller than this is not made.

    Attributes
    ----------
    best : float
    num_bad_epochs, cooldown_counter : int

    Raises
    ------
    ValueError
        For a factor outside (0, 1), or a mode or threshold mode that is none.
    """

    def __init__(
        self,
        optimizer,
        mode="min",
        factor=0.1,
        patience=10,
        threshold=1e-4,
        threshold_mode="rel",
        cooldown=0,
        min_lr=0.0,
        eps=1e-8,
    ):
        if not 0 < factor < 1:
            raise ValueError(f"factor must lie between 0 and 1, got {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(
                "mode must be 'min' or 'max' and threshold_mode 'rel' or 'abs', "
                f"got {mode!r} and {threshold_mode!r}"
            )
        self.optimizer, self.factor, self.patience = optimizer, factor, patience
        self.cooldown, self.min_lr, self.eps = cooldown, min_lr, eps
        self._sign = 1 if mode == "min" else -1
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.best = self._sign * math.inf
        self.num_bad_epochs = self.cooldown_counter = 0

    def step(self, metric):
        """Take the epoch's metric and, where it is time, lower ``optimizer.lr``."""
        metric = float(metric)
        if self._is_better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            lr = max(self.optimizer.lr * self.factor, self.min_lr)
            if self.optimizer.lr - lr > self.eps:
                self.optimizer.lr = lr
            self.num_bad_epochs, self.cooldown_counter = 0, self.cooldown

    def _is_better(self, metric):
        if self.threshold_mode == "rel":
            bar = self.best * (1 - self._sign * self.threshold)
        else:
            bar = self.best - self._sign * self.threshold
        return self._sign * metric < self._sign * bar
