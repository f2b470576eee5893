"""Commands that make or gather photographs."""

from pathlib import Path
from typing import Annotated

import typer

from ._app import MOST, app, try_out


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder for the DNG files.")],
    n: Annotated[int, typer.Option("--n", min=1, max=MOST, help="How many photographs.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same pixels.")] = 0,
    size: Annotated[int, typer.Option(min=32, max=8192, help="Side in pixels, even.")] = 256,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; else all cores.")] = None,
) -> None:
    """Take photographs with the simulated camera and write them as DNG files."""
    from pp_lib.camera import simulate as take
    from pp_lib.camera import write_dng

    try_out(out)
    for i, photograph in enumerate(take(n, seed=seed, size=size, workers=workers)):
        write_dng(out / f"sim_{seed}_{i:05d}.dng", photograph)
    typer.echo(f"{n} photographs in {out}")


@app.command()
def prepare(
    folder: Annotated[Path, typer.Argument(help="Photographs, RAW or JPEG, subfolders too.")],
    out: Annotated[Path | None, typer.Argument(help="prepared/<folder's name> if unset.")] = None,
    size: Annotated[int, typer.Option(min=32, help="Height and width in pixels.")] = 256,
    fit: Annotated[str, typer.Option(help="crop keeps the noise; resize keeps the view.")] = "crop",
    workers: Annotated[int | None, typer.Option(min=1, help="Threads; all cores if unset.")] = None,
) -> None:
    """Develop and label a folder of photographs; what cannot be used is listed with its reason."""
    from pp_lib.photos import HEADS, read_manifest
    from pp_lib.photos import prepare as develop_and_label

    out = out or Path("prepared") / folder.resolve().name
    if folder.is_dir():  # else `prepare` says so, and nothing is made
        try_out(out)
    report = develop_and_label(folder, out, size=size, fit=fit, workers=workers)
    rows = read_manifest(out)
    for h, (head, bins) in enumerate(HEADS.items()):
        counts = [sum(row.labels[h] == k for row in rows) for k in range(bins.n_classes)]
        shown = " | ".join(f"{name}: {n}" for name, n in zip(bins.names, counts, strict=True))
        typer.echo(f"{head:>8}  {shown}")
    if report.rejected:
        typer.echo(f"set aside, each with its reason: {report.rejected_csv}")
