"""The training loop, in plain sight."""

import math
import time

import torch
from tqdm.auto import tqdm

from .batches import batches, check_data
from .device import seeded
from .evaluation import evaluate
from .features import FeatureSet
from .fingerprint import run_config
from .history import count_right
from .objectives import check_objective, head_divisors, head_losses
from .processes import Processes
from .safekeeping import safekeeping
from .stopping import EarlyStopping
from .training_state import TrainingState


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
    class_weights=None,
    label_smoothing=0.0,
    focal_gamma=0.0,
    precision="float32",
    seed=0,
    device=None,
    checkpoints=None,
    resume=False,
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
    class_weights, label_smoothing, focal_gamma
        What training asks for, see `head_losses`. The validation loss is always the plain one, so
        that runs can be compared.
    precision : {"float32", "bfloat16"}
        In which the layers compute (autocast); weights, loss and Adam stay in float32.
    seed : int
        Decides the order of cached features, dropout, and what a loader without a generator of
        its own draws. The caller's global random state is left as it was.
    device : str or torch.device, optional
        A GPU if there is one.
    checkpoints : path-like, optional
        Folder for a checkpoint after every epoch (the last two are kept), ``history.json`` and
        ``log.csv``. Ctrl-C and SIGTERM then finish the batch, write a checkpoint and raise
        RuntimeError.
    resume : bool
        Go on from the last checkpoint that is whole, if there is one. On a CPU the run then ends
        with the same bits as one that was never stopped.

    Returns
    -------
    History
        Without checkpoints, an interrupt (Ctrl-C) after the first epoch also ends in one, with
        its reason.

    Raises
    ------
    ValueError
        For arguments and data that cannot be trained with; when the checkpoints are of other data
        or options, of a run that is not finished and `resume` is False, or no checkpoints at all.
    FloatingPointError
        When the loss is no longer a number; says at which epoch and batch.
    RuntimeError
        When another process trains in the same folder, and when stopped.

    Notes
    -----
    Under ``torchrun`` (Hugging Face Accelerate) every process takes its share of each batch and all
    take the step that one process would; batch normalisation and dropout alone then see shares.
    Chapters 12 (Adam, schedule), 15 (the loss of three heads) and 16. Kingma & Ba 2015.
    """
    check_arguments(epochs, plateau_patience, stop_patience, precision)
    check_objective(class_weights, label_smoothing, focal_gamma)
    n_batches = check_data(model, train, "train", batch_size)
    check_data(model, val, "val")
    processes = Processes(device, precision)
    device = processes.device
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
    run = TrainingState(model, optimizer, schedule, stopper, (train, val), seed)
    ask, optimizer = processes.prepare(
        model, optimizer, from_features=isinstance(train, FeatureSet)
    )

    options = {  # all that decides what comes out, but the number of epochs
        "lr": lr,
        "batch_size": batch_size if isinstance(train, FeatureSet) else train.batch_size,
        "plateau_patience": plateau_patience,
        "plateau_factor": plateau_factor,
        "stop_patience": stop_patience,
        "min_delta": min_delta,
        "class_weights": class_weights,
        "label_smoothing": label_smoothing,
        "focal_gamma": focal_gamma,
        "precision": precision,
        "seed": seed,
    }
    part = processes.own_part(train)
    is_quiet = not (progress and processes.is_main)
    bar = tqdm(total=epochs * n_batches, desc="training", unit="batch", disable=is_quiet)
    safe = safekeeping(
        checkpoints,
        run,
        lambda: run_config(model, train, val, options),
        epochs=epochs,
        resume=resume,
        processes=processes,
    )
    weighting = {"class_weights": class_weights, "focal_gamma": focal_gamma}
    objective = {"label_smoothing": label_smoothing} | weighting
    try:
        with bar, seeded(seed), safe as keeper:
            bar.update((run.epoch - 1) * n_batches + run.batch)
            while not run.history.stop_reason:
                start, lr_now = time.perf_counter(), optimizer.param_groups[0]["lr"]
                start -= run.seconds  # that the epoch took before it was stopped
                model.train()
                processes.align()
                for x, y in run.rest_of_epoch(batches(part, batch_size, device, run.order)):
                    x, y, counts = processes.share(x, y, run.batch)
                    outputs = ask(x)
                    losses = head_losses(outputs, y, **objective)  # (3,)
                    losses = processes.mean(losses, head_divisors(y, **weighting) * counts)
                    loss = losses.sum()
                    if not torch.isfinite(loss):
                        raise FloatingPointError(
                            f"the loss is {loss.item()} at epoch {run.epoch}, batch {run.batch}: "
                            f"try a rate below {lr_now:g}, and check the photographs' values"
                        )
                    optimizer.zero_grad()
                    processes.backward(loss)
                    optimizer.step()
                    run.tally.add(losses, processes.total(count_right(outputs, y), counts))
                    bar.update()
                    keeper.after_batch(time.perf_counter() - start)
                checked = evaluate(model, val, precision=precision, device=device)
                val_loss = processes.from_main(checked.loss)
                if not math.isfinite(val_loss):
                    raise FloatingPointError(
                        f"the validation loss is {val_loss} after epoch {run.epoch}: "
                        f"try a rate below {lr_now:g}"
                    )
                stop = stopper.update(val_loss)
                schedule.step(val_loss)
                run.finish_epoch(checked, lr_now, time.perf_counter() - start)
                if stop or run.epoch > epochs:
                    run.history.stop_reason = "early stop" if stop else "epochs done"
                bar.set_postfix(epoch=run.epoch - 1, val_loss=f"{val_loss:.3f}", lr=f"{lr_now:.0e}")
                keeper.after_epoch()
    except KeyboardInterrupt:
        if run.best is None:
            raise  # nothing was finished, so there is nothing to give back
        run.history.stop_reason = "interrupted"
    finally:
        if run.best is not None:  # however it ended, the model keeps its best weights
            model.load_state_dict(run.best, strict=False)
        model.eval()
    return run.history


def check_arguments(epochs, plateau_patience, stop_patience, precision):
    """Raise ValueError for numbers of epochs and precisions that `fit` cannot train with."""
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f'precision must be "float32" or "bfloat16", got {precision!r}')
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if stop_patience <= plateau_patience + 1:
        raise ValueError(
            f"stop_patience must be larger than plateau_patience + 1 = {plateau_patience + 1}, got "
            f"{stop_patience}: training would end before the lower rate is tried"
        )
