"""Functions over many images, a few at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.batched import map_batches


@pytest.mark.parametrize(
    ("shape", "at_once"),
    [
        ((2500, 1, 28, 28), [1000, 1000, 500]),
        ((1200, 3, 96, 96), [1000, 200]),
        # 224 · 224 pixels are 5.44 times as many as 96 · 96.
        ((400, 3, 224, 224), [183, 183, 34]),
        ((2, 3, 4000, 4000), [1, 1]),
        ((1500, 20_000), [1000, 500]),
    ],
)
def test_fewer_large_images_are_looked_at_together(shape: tuple[int, ...], at_once: list[int]) -> None:
    rows = torch.arange(shape[0]).view(-1, *[1] * (len(shape) - 1)).expand(shape)  # which takes no memory
    seen: list[int] = []

    def first_number(batch: Tensor) -> Tensor:
        seen.append(len(batch))
        return batch[(slice(None), *[0] * (len(shape) - 2), slice(1))]

    assert map_batches(first_number, rows, torch.device("cpu")).flatten().tolist() == list(range(shape[0]))
    assert seen == at_once
