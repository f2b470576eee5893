"""The training loop, in plain sight."""

import math
import time

import torch
from tqdm.auto import tqdm

from pp_lib.photos.bins import HEADS

from .batches import batches, check_data, forward
from .device import choose_device, seeded
from .evaluation import evaluate
from .history import History
from .objectives import head_losses


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


def fit(
    model,
    train,
    val,
    *,
    epochs,
    batch_size=32,
    lr=1e-3,
    plateau_patience=2,
    plateau_factor=0.5,
    stop_patience=8,
    min_delta=0.0,
    precision="float32",
    seed=0,
    device=None,
    progress=True,
):
    """Train the model's free parameters with Adam; leave it with the weights of the best epoch.

    Parameters
    ----------
    model : ThreeHeadVGG16
        Moved to `device` and changed in place. Left in evaluation mode.
    train, val : FeatureSet or DataLoader
        Cached features train the heads only; a loader of photographs runs the whole model.
    epochs : int
        At most so many.
    batch_size : int
        For a FeatureSet; a loader brings its own.
    lr : float
        Adam's first learning rate.
    plateau_patience, plateau_factor : int, float
        The rate is multiplied by the factor on the bad epoch number ``plateau_patience + 1``.
    stop_patience : int
        Training ends on the bad epoch of this number, counted since the best one. It must be
        larger than ``plateau_patience + 1``, or the lower rate would never be tried.
    min_delta : float
        See `EarlyStopping`; the schedule uses the same measure.
    precision : {"float32", "bfloat16"}
        In which the layers compute (autocast); weights, loss and Adam stay in float32.
    seed : int
        Decides the order of cached features, dropout, and what a loader without a generator of
        its own draws. The caller's global random state is left as it was.
    device : str or torch.device, optional
        A GPU if there is one.

    Returns
    -------
    History
        An interrupt (Ctrl-C) after the first epoch also ends in a History, with its reason.

    Raises
    ------
    ValueError
        For arguments and data that cannot be trained with.
    FloatingPointError
        When the loss is no longer a number; says at which epoch and batch.

    Notes
    -----
    Chapters 12 (Adam, schedule), 15 (the loss of three heads) and 16. Kingma & Ba 2015.
    """
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f'precision must be "float32" or "bfloat16", got {precision!r}')
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if stop_patience <= plateau_patience + 1:
        raise ValueError(
            f"stop_patience must be larger than plateau_patience + 1 = {plateau_patience + 1}, got "
            f"{stop_patience}: training would end before the lower rate is tried"
        )
    device = choose_device(device)
    n_batches = check_data(model, train, "train", batch_size)
    check_data(model, val, "val")
    model.to(device)
    free = [p for p in model.parameters() if p.requires_grad]
    if not free:
        raise ValueError("the model has no free parameter: every requires_grad is False")
    # fused: one pass over weights, gradients and moments. With 13 million of them the optimizer
    # is bound by memory, and step by step it would take longer than forward and backward together.
    optimizer = torch.optim.Adam(free, lr=lr, fused=True)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        patience=plateau_patience,
        factor=plateau_factor,
        threshold=min_delta,
        threshold_mode="abs",
    )
    stopper = EarlyStopping(stop_patience, min_delta)
    history, best = History(), None
    bar = tqdm(total=epochs * n_batches, desc="training", unit="batch", disable=not progress)
    try:
        with seeded(seed), bar:
            order = torch.Generator().manual_seed(seed)
            for epoch in range(1, epochs + 1):
                start, lr_now = time.perf_counter(), optimizer.param_groups[0]["lr"]
                tally = _Tally()
                model.train()
                for batch, (x, y) in enumerate(batches(train, batch_size, device, order), start=1):
                    logits = forward(model, train, x, precision)
                    losses = head_losses(logits, y)  # (3,)
                    loss = losses.sum()
                    if not torch.isfinite(loss):
                        raise FloatingPointError(
                            f"the loss is {loss.item()} at epoch {epoch}, batch {batch}: "
                            f"try a rate below {lr_now:g}, and check the photographs' values"
                        )
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    tally.add(losses, logits, y)
                    bar.update()
                checked = evaluate(model, val, precision=precision, device=device)
                if not math.isfinite(checked.loss):
                    raise FloatingPointError(
                        f"the validation loss is {checked.loss} after epoch {epoch}: "
                        f"try a rate below {lr_now:g}"
                    )
                stop = stopper.update(checked.loss)
                schedule.step(checked.loss)
                _record(history, tally, checked, lr_now, time.perf_counter() - start)
                if stopper.improved:
                    history.best_epoch, best = epoch, _snapshot(model)
                bar.set_postfix(epoch=epoch, val_loss=f"{checked.loss:.3f}", lr=f"{lr_now:.0e}")
                if stop:
                    break
        history.stop_reason = "early stop" if stop else "epochs done"
    except KeyboardInterrupt:
        if best is None:
            raise  # nothing was finished, so there is nothing to give back
        history.stop_reason = "interrupted"
    finally:
        if best is not None:  # however it ended, the model keeps its best weights
            model.load_state_dict(best, strict=False)
        model.eval()
    return history


class _Tally:
    """Sums over an epoch, kept on the device: a GPU then need not wait for the CPU to read them."""

    def __init__(self):
        self.n, self.loss, self.right = 0, 0.0, 0.0

    def add(self, losses, logits, y):
        predicted = torch.stack([logits[name].detach().argmax(dim=1) for name in HEADS], dim=1)
        self.n += len(y)
        self.loss = self.loss + losses.detach().double() * len(y)  # (3,)
        self.right = self.right + (predicted == y).sum(dim=0)  # (3,)


def _record(history, tally, checked, lr, seconds):
    train_losses = (tally.loss / tally.n).tolist()
    train_right = (tally.right / tally.n).tolist()
    history.train_loss.append(sum(train_losses))
    history.val_loss.append(checked.loss)
    for j, name in enumerate(HEADS):
        history.train_head_loss[name].append(train_losses[j])
        history.train_accuracy[name].append(train_right[j])
        history.val_head_loss[name].append(checked.head_loss[name])
        history.val_accuracy[name].append(checked.accuracy[name])
    history.lr.append(lr)
    history.seconds.append(seconds)


def _snapshot(model):
    """Copy all that training can change: free parameters, and buffers."""
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    state = model.state_dict()
    return {name: value.clone() for name, value in state.items() if name not in frozen}
