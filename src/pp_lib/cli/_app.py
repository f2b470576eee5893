"""What all commands share: the program they belong to, and a first look at where results go."""

import tempfile
from pathlib import Path

import typer

MOST = 100_000  # photographs a call: they are held in memory until all are taken

app = typer.Typer(
    help="PhotoPilot: a network that reads a camera's settings from a photograph.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def try_out(folder: Path) -> None:
    """Make the folder and write in it now: after minutes of work it would be late to fail."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        came = f"{folder} ({error.strerror})"
        raise ValueError(f"out must be a folder to write in, got {came}: name another") from error
