"""Write a folder of DNG files and the list of their settings.

    python data/make_sample.py data/sample

makes the sample that lies in the repository.
"""

import csv
import sys
from pathlib import Path

from pp_lib.camera import simulate, write_dng

COLUMNS = ("file", "f_number", "iso", "exposure_time_s", "focal_length_mm", "taken_at", "seed", "i")
SAMPLE_COUNT, SAMPLE_SEED = 6, 423  # these six show each class of each head twice


def write_sample(folder, count=SAMPLE_COUNT, *, seed=SAMPLE_SEED, size=256):
    """Simulate photographs and write them with a manifest.

    Parameters
    ----------
    folder : path-like
        Made if absent.
    count : int
    seed : int
    size : int or (H, W)

    Returns
    -------
    pathlib.Path
        The manifest: one row a photograph, fractions exact ("28/5").

    Raises
    ------
    ValueError
        If an argument is out of range.
    OSError
        If the folder cannot be written.
    """
    folder = Path(folder)
    photographs = simulate(count, seed=seed, size=size)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.csv"
    with open(manifest, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for photograph in photographs:
            name = "sim_{}_{:03d}.dng".format(*photograph.seed)
            write_dng(folder / name, photograph)
            chosen = photograph.settings
            values = (chosen.f_number, chosen.iso, chosen.exposure_time_s, chosen.focal_length_mm)
            writer.writerow([name, *values, photograph.taken_at.isoformat(), *photograph.seed])
    return manifest


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python data/make_sample.py FOLDER")
    sys.stdout.write(f"{write_sample(sys.argv[1])}\n")
