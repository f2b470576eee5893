"""When to stop: the validation loss has not improved for too long."""

import math


class EarlyStopping:
    """Tell when the validation loss has not improved for `patience` epochs in a row.

    Parameters
    ----------
    patience : int
        Bad epochs after which to stop, at least 1.
    min_delta : float
        A loss must be lower than the best so far by more than this to be an improvement.
    """

    def __init__(self, patience, min_delta=0.0):
        if patience < 1 or min_delta < 0:
            raise ValueError(
                f"patience must be at least 1 and min_delta 0 or more, got {patience}, {min_delta}"
            )
        self.patience, self.min_delta = patience, min_delta
        self.best, self.bad_epochs = math.inf, 0

    def update(self, val_loss):
        """Take note of an epoch's loss; give True when it is time to stop. A nan is a bad epoch."""
        if val_loss < self.best - self.min_delta:
            self.best, self.bad_epochs = val_loss, 0
        else:
            self.bad_epochs += 1
        return self.bad_epochs >= self.patience

    @property
    def improved(self):
        """Whether the last loss was the best so far."""
        return self.bad_epochs == 0

    def state_dict(self):
        """Give what it has seen, for a checkpoint."""
        return {"best": self.best, "bad_epochs": self.bad_epochs}

    def load_state_dict(self, state):
        """Undo `state_dict`."""
        self.best, self.bad_epochs = state["best"], state["bad_epochs"]
