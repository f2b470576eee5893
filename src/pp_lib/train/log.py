"""A run's history as files to look at while it goes on: JSON, and a table with a line an epoch."""

import csv
import io
import json

from pp_lib.photos.bins import HEADS
from pp_lib.photos.files import write_atomically

HISTORY, LOG = "history.json", "log.csv"


def write_history(folder, history):
    """Write ``history.json`` (`History.to_dict`) and ``log.csv``, each whole or not at all.

    Both are written anew: after a run was stopped and gone on with, no epoch is in them twice.
    """
    write_atomically(folder / HISTORY, (json.dumps(history.to_dict(), indent=2) + "\n").encode())
    write_atomically(folder / LOG, _table(history).encode("ascii"))


def _table(history):
    columns = {"epoch": range(1, len(history) + 1)}
    columns |= {name: getattr(history, name) for name in ("lr", "train_loss", "val_loss")}
    for name in ("train_head_loss", "val_head_loss", "train_accuracy", "val_accuracy"):
        columns |= {f"{name}_{head}": getattr(history, name)[head] for head in HEADS}
    columns["seconds"] = history.seconds
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
