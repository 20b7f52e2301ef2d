"""A batch's random numbers: those of torch's generator for the whole batch, wherever they are kept."""

from __future__ import annotations

import pytest
import torch

from engine.randomness import BatchNoise

CPU = torch.device("cpu")


def expected(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(6, 2, 3, generator=generator), torch.randn(6, 4, generator=generator)


@pytest.mark.parametrize("rows", [slice(None), slice(0, 2), slice(2, 6)])
def test_a_process_has_its_rows_of_the_whole_batchs_numbers(rows: slice) -> None:
    uniform, normal = expected(seed=5)
    noise = BatchNoise(5, 6, rows, CPU)
    assert torch.equal(noise.uniform(2, 3), uniform[rows])
    assert torch.equal(noise.normal(4), normal[rows])


def test_new_numbers_come_into_the_tensors_that_are_there() -> None:
    noise = BatchNoise(0, 6, slice(1, 4), CPU)
    held = noise.uniform(2, 3), noise.normal(4)
    noise.redraw(5)
    for tensor, numbers in zip(held, expected(seed=5), strict=True):
        assert torch.equal(tensor, numbers[1:4])
    assert noise.uniform(2, 3).data_ptr() == held[0].data_ptr()
    noise.rewind()
    assert torch.equal(noise.uniform(2, 3), expected(seed=5)[0][1:4])


@pytest.mark.parametrize("ask", [lambda noise: noise.normal(3), lambda noise: noise.uniform(4)])
def test_a_step_that_asks_for_other_numbers_is_refused(ask) -> None:
    noise = BatchNoise(0, 6, slice(None), CPU)
    noise.uniform(3)
    noise.rewind()
    with pytest.raises(RuntimeError, match="other random numbers than the first one did"):
        ask(noise)
