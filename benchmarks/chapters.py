"""How long each chapter's code took when it was last executed, as its notebook says.

    python benchmarks/chapters.py

Nothing is run here: book/notebooks.py measures a chapter when it makes its results, and stores the
seconds and the number of cores in the notebook. A chapter that was not measured gives no number.
"""

import json
import sys
from pathlib import Path

from rows import exit_status, row, table

CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"


def measure(quick=False):
    """Give the benchmark's rows for the table."""
    rows, unmeasured = [], []
    for path in sorted(CHAPTERS.glob("*.ipynb")):
        number, name = path.stem.split("_", 1)
        stored = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("photopilot", {})
        if "execution_s" not in stored:
            unmeasured.append(int(number))
            continue
        rows.append(
            row(
                f"chapter {int(number)}, {name}: its code, on {stored['cores']} cores",
                "the chapter's results are made again in this time",
                ours=stored["execution_s"],
                unit="s",
            )
        )
    if unmeasured:
        print(f"not measured: chapters {', '.join(map(str, unmeasured))}; run `make notebooks`")
    return rows


if __name__ == "__main__":
    rows = measure()
    print(table(rows))
    sys.exit(exit_status(rows))
