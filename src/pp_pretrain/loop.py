"""Train VGG16's convolutions from scratch on the simulated camera.

    photopilot pretrain CONFIG.json --out runs/camera

Plain PyTorch, the loop in plain sight. What step k does follows from the configuration and k, so a
run can be stopped and gone on with anywhere; on a CPU it then ends with the same bits.
"""

import copy
import math
import time
from contextlib import closing
from pathlib import Path

import torch
from tqdm.auto import tqdm

from pp_lib.photos.bins import HEADS
from pp_lib.train.crops import standardise
from pp_lib.train.device import choose_device
from pp_lib.train.objectives import head_losses
from pp_lib.train.resume import check_same_run, load_run, save_run, stop_gently

from .batches import keep_on_device, random_crops, training_batches
from .config import PretrainConfig
from .export import check_crops, export
from .fold import CameraNet
from .scenes import render_scenes

__all__ = ["PretrainConfig", "learn", "pretrain"]


def pretrain(config, out, *, scenes=None, resume=False, progress=True):
    """Render what a configuration asks for, train on it, and write what is to be shipped.

    Parameters
    ----------
    config : PretrainConfig
    out : path-like
        A folder: configuration, checkpoint, history, and at the end what `export` writes.
    scenes : path-like, optional
        Folder for the rendered scenes, which other runs can then use too; `out` if None.
    resume : bool
        Go on from the last checkpoint, if there is one. Rendering goes on in any case.

    Returns
    -------
    pathlib.Path
        Of the weights.

    Raises
    ------
    ValueError
        If `out` holds another run, or this one and `resume` is False.
    FloatingPointError
        If the loss is no longer a number; says at which epoch and batch.
    RuntimeError
        If stopped by Ctrl-C or SIGTERM: the batch is finished, the checkpoint written.
    """
    out = Path(out)
    check_same_run(config, out, resume)
    folder = Path(scenes or out)

    def render(n, seed):
        place = folder / f"scenes-{n}-{seed}-{config.render_size}"
        options = {"workers": config.workers, "progress": progress}
        return render_scenes(n, seed, config.render_size, place, **options)

    train, val = render(config.n_train, config.seed), render(config.n_val, config.val_seed)
    model, run = learn(config, train, val, out, progress=progress)
    return export(model, val, out, config, run)


def learn(config, train, val, out, *, progress=True):
    """Train until the epochs or the minutes are over, from the last checkpoint in `out` if any.

    Parameters
    ----------
    config : PretrainConfig
    train, val : Scenes
    out : path-like

    Returns
    -------
    model : CameraNet
        With the averaged weights, if there is an average.
    run : dict
        ``step``, ``seconds`` and ``history``: for each epoch a dict of plain numbers. Its training
        loss includes label smoothing; ``waited_s`` is the time spent waiting for photographs.
    """
    out, device = Path(out), choose_device(config.device)
    out.mkdir(parents=True, exist_ok=True)
    model = CameraNet(config.seed).to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(model) if config.ema_decay else model
    optimizer = _make_optimizer(config, model)
    run = {"step": 0, "seconds": 0.0, "is_done": False, "history": [], "epoch": None}
    run |= load_run(out, model, average, optimizer)
    per_epoch = len(train) // config.batch_size
    total = per_epoch * config.epochs
    if run["is_done"]:
        return average.eval(), run
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # every batch has the same shape
    images = keep_on_device(train, device)
    feed = training_batches(images, train.labels, config, device, run["step"])
    bar = tqdm(total=total, initial=run["step"], unit="batch", disable=not progress)
    begun = time.perf_counter() - run["seconds"]
    with stop_gently() as stop, closing(feed), bar:
        while not run["is_done"]:
            start, (x, y) = time.perf_counter(), next(feed)
            waited_s = time.perf_counter() - start
            share = run["seconds"] / (60 * config.minutes) if config.minutes else 0.0
            share = max(run["step"] / total, share)  # of the run that is over
            lr = config.peak_lr * _schedule(share, config.warmup)
            for group in optimizer.param_groups:
                group["lr"] = lr
            side = config.crop_at(share)
            x = standardise(random_crops(x, side, seed=config.seed, step=run["step"]))
            model.train()
            with torch.autocast(
                device.type, torch.bfloat16, enabled=config.precision == "bfloat16"
            ):
                logits = model(x)
            losses = head_losses(logits, y, label_smoothing=config.label_smoothing)  # (3,)
            epoch, batch = (1 + k for k in divmod(run["step"], per_epoch))
            _check_finite(losses.tolist(), f"epoch {epoch}, batch {batch}", config)
            optimizer.zero_grad()
            losses.sum().backward()
            optimizer.step()
            run["step"] += 1
            if average is not model:
                _move_average(average, model, config.ema_decay, run["step"])
            taken_s = time.perf_counter() - start
            run["epoch"] = _add(run["epoch"], [*losses.tolist(), taken_s, waited_s])
            run["seconds"] = time.perf_counter() - begun
            is_late = bool(config.minutes) and run["seconds"] >= 60 * config.minutes
            run["is_done"] = is_late or run["step"] == total
            bar.update()
            if run["is_done"] or batch == per_epoch:
                checked = check_crops(average, val, config, device)
                _check_finite([checked["loss"]], f"the check after epoch {epoch}", config)
                _record(run, epoch, lr, checked, config)
                run["seconds"] = time.perf_counter() - begun
                bar.set_postfix(epoch=epoch, val_loss=f"{checked['loss']:.3f}")
                save_run(out, model, average, optimizer, run)
            elif stop.is_set():
                save_run(out, model, average, optimizer, run)
            if stop.is_set() and not run["is_done"]:
                raise RuntimeError(
                    f"stopped after epoch {epoch}, batch {batch}, all saved; the same command "
                    "with --resume (resume=True) goes on from there"
                )
    return average.eval(), run


def _make_optimizer(config, model):
    free = list(model.parameters())
    groups = [
        {"params": [p for p in free if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in free if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.peak_lr, fused=True)
    return torch.optim.SGD(groups, lr=config.peak_lr, momentum=0.9, nesterov=True)


def _schedule(share, warmup):
    """Give the rate's fraction of its peak when `share` of the run is over."""
    if share < warmup:
        return max(share / warmup, 0.01)
    return (1 + math.cos(math.pi * min(1, (share - warmup) / (1 - warmup)))) / 2


def _move_average(average, model, decay, step):
    """Let the average follow, faster at the beginning: it must forget the random start."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for kept, value in zip(
            average.state_dict().values(), model.state_dict().values(), strict=True
        ):
            if kept.is_floating_point():
                kept.lerp_(value, 1 - decay)
            else:
                kept.copy_(value)


def _check_finite(losses, where, config):
    if not all(map(math.isfinite, losses)):
        raise FloatingPointError(
            f"the loss is {sum(losses)} at {where}: try a peak_lr below {config.peak_lr:g}"
        )


def _add(sums, values):
    """Add a batch's numbers to its epoch's: how many batches, and their sums."""
    n, old = sums or (0, [0.0] * len(values))
    return [n + 1, [a + b for a, b in zip(old, values, strict=True)]]


def _record(run, epoch, lr, checked, config):
    n, (*losses, seconds, waited_s) = run["epoch"]
    run["epoch"] = None
    entry = {"epoch": epoch, "step": run["step"], "lr": lr, "train_loss": sum(losses) / n}
    entry["train_head_loss"] = {h: loss / n for h, loss in zip(HEADS, losses, strict=True)}
    entry |= {"val": checked, "seconds": seconds, "waited_s": waited_s}
    entry["crops_per_s"] = n * config.batch_size / seconds
    run["history"].append(entry)
