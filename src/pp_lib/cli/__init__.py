"""The command `photopilot`: all of the library's work from a shell."""

import typer

from ._app import app

# The order of these imports is the order in which --help lists the commands.
# isort: off
from .photographs import fetch, prepare, simulate
from .network import predict, pretrain, train, verify
# isort: on

__all__ = ["app", "fetch", "main", "predict", "prepare", "pretrain", "simulate", "train", "verify"]


def main() -> None:
    """Run `photopilot`, turning a caller's mistake into one line rather than a traceback."""
    try:
        app()
    except (ValueError, OSError, RuntimeError, ArithmeticError, MemoryError) as mistake:
        typer.secho(f"photopilot: {mistake}", fg="red", err=True)
        raise SystemExit(2) from mistake
