"""Commands that make or gather photographs."""

import signal
import sys
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
def fetch(
    n: Annotated[int, typer.Option("--n", min=1, help="How many photographs.")],
    out: Annotated[Path, typer.Option(help="Folder for the DNG files.")],
    prepare: Annotated[
        Path | None, typer.Option(help="Prepare each photograph into this folder as it comes.")
    ] = None,
    delete_raw: Annotated[
        bool, typer.Option("--delete-raw", help="With --prepare: keep no DNG once it is prepared.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="A random sample; the first N if unset.")
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Do not ask; for scripts.")
    ] = False,
    base: Annotated[
        str | None, typer.Option(help="Another server; PHOTOPILOT_FIVEK or MIT's if unset.")
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=16, help="Files at once.")] = 4,
    size: Annotated[int, typer.Option(min=32, help="As in `prepare`.")] = 256,
    fit: Annotated[str, typer.Option(help="As in `prepare`.")] = "crop",
) -> None:
    """Fetch photographs of MIT-Adobe FiveK; stop at any moment, run again to go on."""
    from pp_lib.photos.fivek import fetch as fetch_only
    from pp_lib.photos.fivek import fetch_and_prepare

    if delete_raw and prepare is None:
        raise ValueError("--delete-raw goes with --prepare: without it nothing would be left")

    def ask(licence, words: str) -> bool:
        typer.echo(f"{licence.name}\n\n{words.strip()}\n")
        typer.echo("Cite Bychkovsky, Paris, Chan and Durand, CVPR 2011, in what you publish.")
        if accept_licence or not sys.stdin.isatty():
            return accept_licence
        return typer.confirm(f"Do you accept {licence.name}?")

    options = {"seed": seed, "accept_licence": ask, "base": base, "connections": connections}
    # a stop from outside ends as Ctrl-C does: nothing half done has a whole file's name
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if prepare is None:
            report = fetch_only(n, out, **options)
        else:
            where = {"delete_raw": delete_raw, "size": size, "fit": fit}
            report, _ = fetch_and_prepare(n, out, prepare, **where, **options)
    except KeyboardInterrupt:
        typer.secho("photopilot: stopped; the same command goes on", fg="red", err=True)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    raise typer.Exit(int(bool(report.failed)))


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
