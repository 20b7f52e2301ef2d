"""scikit-learn's handwritten digits: 1,797 grey images, 8×8, ten classes, part of the library itself.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
1998 (the UCI set's test part).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from data.image_set import ImageSet
from data.names import Names

NAME = "digits"
CLASS_NAMES = tuple(str(digit) for digit in range(10))
HIGHEST = 16  # Pixels count the black points of a 4×4 block.

# There is no official split. The file runs form by form: every 110 to 130 images (at 0, 130, 256, … 1415,
# 1545, 1667) a new block starts with 0 to 9 in order. A cut between blocks keeps every form, and so most
# likely every writer, on one side; the last three blocks (382 images) are the test images. The cut is a
# constant of the published order and looks at no label.
TRAIN_SIZE = 1415


def load(split: str, data_root: Path | None = None) -> ImageSet:
    """The digits of "train" (the first 1,415) or "test" (the other 382), (n, 1, 8, 8).

    The values 0 to 16 are scaled to 0 to 255.

    `data_root` is not used: scikit-learn holds the data.
    """
    from sklearn.datasets import load_digits  # late, because it takes a second to import

    bunch = load_digits()
    rows = slice(None, TRAIN_SIZE) if split == "train" else slice(TRAIN_SIZE, None)
    images = np.rint(bunch.images[rows] * (255 / HIGHEST)).astype(np.uint8)
    return ImageSet(
        NAME,
        split,
        torch.from_numpy(images).unsqueeze(1),
        torch.from_numpy(bunch.target[rows]).long(),
        CLASS_NAMES,
        origin="scikit-learn",
        names=Names.rows(split, len(images)),
    )
