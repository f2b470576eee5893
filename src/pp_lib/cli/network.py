"""Commands about the network."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ._app import MOST, app, try_out


@app.command()
def train(
    folder: Annotated[
        Path | None, typer.Argument(help="A prepared folder; simulated photographs if unset.")
    ] = None,
    simulated: Annotated[int, typer.Option(min=32, max=MOST, help="Without a folder.")] = 1000,
    backbone: Annotated[
        str, typer.Option(help="vgg16, resnet18, efficientnet_b0 or convnext_tiny.")
    ] = "vgg16",
    weights: Annotated[
        str, typer.Option(help="Of the backbone: imagenet, camera (vgg16 only) or random.")
    ] = "camera",
    mode: Annotated[
        str, typer.Option(help="What learns: frozen (the heads), fine-tuned, scratch (all).")
    ] = "frozen",
    epochs: Annotated[int, typer.Option(min=1)] = 12,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    views: Annotated[int, typer.Option(min=1, help="Random crops cached per photograph.")] = 2,
    lr: Annotated[
        float | None,
        typer.Option(min=1e-9, max=1, help="Adam's learning rate; 1e-3 if frozen, else 1e-4."),
    ] = None,
    class_weights: Annotated[
        str | None, typer.Option(help="balanced: rare classes count as much as frequent ones.")
    ] = None,
    label_smoothing: Annotated[float, typer.Option(min=0, max=1, help="Chapter 10.")] = 0.0,
    focal: Annotated[float, typer.Option(min=0, help="gamma of the focal loss.")] = 0.0,
    precision: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    how: Annotated[str, typer.Option(help="Split: stratified, random, grouped.")] = "stratified",
    seed: Annotated[int, typer.Option(min=0, max=2**63, help="Of split, crops, weights.")] = 0,
    out: Annotated[Path, typer.Option(help="For checkpoints, history, weights.")] = Path(
        "runs/last"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
) -> None:
    """Train a network with three heads and compare it with guessing.

    A run can be stopped at any moment, and gone on with by the same command with --resume. Several
    GPUs, or processes: torchrun --no-python --nproc-per-node 2 photopilot train FOLDER.
    """
    from pp_lib.photos import simulated_photographs
    from pp_lib.train import train_heads
    from pp_lib.train.processes import is_main_process

    try_out(out)
    folder = folder or simulated_photographs(simulated, seed=seed)
    result = train_heads(
        folder,
        backbone=backbone,
        weights=weights,
        mode=mode,
        epochs=epochs,
        batch_size=batch_size,
        views=views,
        lr=lr,
        class_weights=class_weights,
        label_smoothing=label_smoothing,
        focal_gamma=focal,
        precision=precision,
        how=how,
        seed=seed,
        out=out,
        resume=resume,
    )
    if not is_main_process():
        return
    typer.echo(f"{mode} backbone: {weights}{'' if backbone == 'vgg16' else f', {backbone}'}")
    typer.echo(result.table())
    typer.echo(f"history and {'heads' if mode == 'frozen' else 'weights'} in {out}")


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="Photographs: RAW, JPEG, PNG, TIFF.")],
    heads: Annotated[
        Path | None,
        typer.Option(help="heads.safetensors of `train`; the project's own if unset."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print data, for a program.")] = False,
) -> None:
    """Show what the network reads from photographs beside what their EXIF says."""
    from pp_lib.train import predict as ask
    from pp_lib.train import track_record

    record = track_record(heads)  # first: after minutes of answers it would be late to fail
    answers = ask(files, heads=heads, progress=len(files) > 1)
    failed = [answer for answer in answers if not answer.probabilities]
    if as_json:
        told = {"photographs": [answer.to_dict() for answer in answers], "track_record": record}
        typer.echo(json.dumps(told, indent=2))
    else:
        for answer in answers:
            if answer.probabilities:
                typer.echo(answer.panel() + "\n")
        typer.echo(record)
    for answer in failed:
        typer.secho(f"photopilot: {answer.panel()}", fg="red", err=True)
    raise typer.Exit(int(bool(failed)))


@app.command()
def pretrain(
    config: Annotated[Path, typer.Argument(help="JSON; {} is the full run, for a GPU.")],
    out: Annotated[Path, typer.Option(help="For checkpoints, history and the backbone.")],
    scenes: Annotated[Path | None, typer.Option(help="For the scenes; OUT if unset.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
) -> None:
    """Train VGG16's convolutions from scratch on simulated photographs."""
    from pp_pretrain.config import PretrainConfig
    from pp_pretrain.loop import pretrain as learn_and_export

    wanted = PretrainConfig.read(config)
    try_out(out)
    weights = learn_and_export(wanted, out, scenes=scenes, resume=resume)
    typer.echo(weights.with_suffix(".md").read_text("utf-8"))
    typer.echo(f"backbone, checksum, configuration, history and this card in {out}")


@app.command()
def verify(
    photos: Annotated[Path | None, typer.Option(help="Prepared; simulated if unset.")] = None,
    weights: Annotated[str, typer.Option(help="Backbone: imagenet, camera or random.")] = "camera",
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
) -> None:
    """Hold every partial derivative of the network, by hand in NumPy, against PyTorch's."""
    import numpy as np
    import torch

    from pp_lib.photos import HEADS, PhotoDataset, eval_transform, simulated_photographs
    from pp_lib.train import ThreeHeadVGG16
    from pp_lib.verify import RTOL_VGG16, vgg16_parity

    pictures = PhotoDataset(photos or simulated_photographs(2), transform=eval_transform())
    if len(pictures) < 2:
        raise ValueError(f"{photos} must hold 2 photographs or more, got {len(pictures)}")
    images = torch.stack([pictures[i][0] for i in range(2)])
    classes = dict(zip(HEADS, pictures.labels[:2].T, strict=True))
    rng = np.random.default_rng(0)
    masks = [rng.random((2, units)) < 0.5 for units in (512, 256)]  # the shared units kept
    rows = vgg16_parity(ThreeHeadVGG16(weights), (images, classes), masks=masks, dtype=dtype)

    line = "{:<24}{:>18}{:>13}{:>17}{:>6}".format
    typer.echo(line("array", "shape", "derivatives", "relative error", "ties"))
    for name, shape, count, error, ties in rows:
        typer.echo(line(name, str(shape), f"{count:,}", f"{error:.1e}", ties))
    _, _, counts, errors, ties = zip(*rows, strict=True)
    worst, most = max(errors), RTOL_VGG16[np.dtype(dtype)]
    typer.echo(line("total", f"{len(rows)} arrays", f"{sum(counts):,}", f"{worst:.1e}", sum(ties)))
    verdict = "they agree" if worst <= most else "they do NOT agree"
    typer.echo(f"{dtype}: worst relative error {worst:.1e}, allowed {most}: {verdict}")
    raise typer.Exit(int(worst > most))
