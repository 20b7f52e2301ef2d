"""Histograms of oriented gradients, against a computation pixel by pixel, and what they must not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from models.autoencoder import ImageShape
from models.oriented_gradients import CLIP, FAINT, HOGSettings, OrientedGradients, shares


def described(pixels: Tensor, cells: int = 7, directions: int = 9) -> Tensor:
    """The descriptors of (n, c, h, w)."""
    described: Tensor = OrientedGradients(
        ImageShape(*pixels.shape[1:]), HOGSettings(cells=cells, directions=directions)
    )(pixels)
    return described


def pixel_by_pixel(image: np.ndarray, cells: int, directions: int) -> np.ndarray:
    """Of one (h, w): every pixel's vote goes to two directions and to up to four cells."""
    height, width = image.shape
    histogram = np.zeros((cells, cells, directions))
    edged = np.pad(image, 1, mode="edge")
    for row in range(height):
        for column in range(width):
            dx = edged[row + 1, column + 2] - edged[row + 1, column]
            dy = edged[row + 2, column + 1] - edged[row, column + 1]
            place = (math.degrees(math.atan2(dy, dx)) % 180) / 180 * directions
            low = math.floor(place)
            y, x = (row + 0.5) * cells / height - 0.5, (column + 0.5) * cells / width - 0.5
            for direction, part in ((low, 1 - (place - low)), (low + 1, place - low)):
                for cell_y, part_y in (
                    (math.floor(y), 1 - (y - math.floor(y))),
                    (math.floor(y) + 1, y - math.floor(y)),
                ):
                    for cell_x, part_x in (
                        (math.floor(x), 1 - (x - math.floor(x))),
                        (math.floor(x) + 1, x - math.floor(x)),
                    ):
                        if 0 <= cell_y < cells and 0 <= cell_x < cells:
                            vote = math.hypot(dx, dy) * part * part_y * part_x
                            histogram[cell_y, cell_x, direction % directions] += vote
    blocks = []
    for y in range(cells - 1):
        for x in range(cells - 1):
            block = np.moveaxis(histogram[y : y + 2, x : x + 2], 2, 0).reshape(-1)
            block = np.minimum(block / math.sqrt((block**2).sum() + FAINT**2), CLIP)
            blocks.append(block / math.sqrt((block**2).sum() + FAINT**2))
    return np.concatenate(blocks)


@pytest.mark.parametrize(("cells", "directions"), [(4, 9), (3, 5)])
def test_as_computed_pixel_by_pixel(cells: int, directions: int) -> None:
    image = np.random.default_rng(0).random((12, 12))
    ours = described(torch.from_numpy(image)[None, None].float(), cells, directions)[0]
    np.testing.assert_allclose(ours.numpy(), pixel_by_pixel(image, cells, directions), atol=1e-5)


def test_an_upright_edge_votes_for_the_first_direction_alone() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., 4:] = 1
    blocks = described(image, cells=4, directions=4).view(3, 3, 4, 4)  # row, column, direction, cell
    assert (blocks[:, 1, 0] > 0).all()
    assert (blocks[:, :, 1:] == 0).all()


def test_brightness_does_not_count_and_contrast_hardly() -> None:
    image = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(described(image * 0.5 + 0.4), described(image * 0.5), atol=1e-5)
    assert (described(image * 0.5) - described(image)).abs().max() < 0.01
    assert torch.allclose(described(1 - image), described(image), atol=1e-5)  # half a circle: light and dark are alike


def test_an_empty_image_is_zero_and_a_faint_one_nearly() -> None:
    assert (described(torch.zeros(1, 1, 28, 28)) == 0).all()
    faint = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 1e-4
    assert described(faint).abs().max() < 0.05


def test_of_several_channels_the_one_that_changes_most() -> None:
    strong = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    three = torch.cat([0.3 * strong, strong, torch.full_like(strong, 0.5)], dim=1)
    assert torch.equal(described(three), described(strong))


@pytest.mark.parametrize(
    ("shape", "cells"), [((1, 28, 28), (7, 7)), ((1, 8, 8), (4, 4)), ((3, 32, 50), (7, 7)), ((1, 3, 9), (1, 4))]
)
def test_any_size_of_image(shape: tuple[int, int, int], cells: tuple[int, int]) -> None:
    module = OrientedGradients(ImageShape(*shape), HOGSettings())
    out = module(torch.rand(2, *shape))
    assert (len(module.rows), len(module.columns)) == cells
    assert out.shape == (2, module.size)
    assert torch.isfinite(out).all()


def test_a_pixel_between_two_cells_is_shared_and_none_counts_more_than_once() -> None:
    parts = shares(28, 7)
    assert torch.allclose(parts.sum(dim=0)[2:-2], torch.ones(24))
    assert (parts.sum(dim=0) <= 1 + 1e-6).all()
    assert parts[0].tolist()[:7] == pytest.approx([0.625, 0.875, 0.875, 0.625, 0.375, 0.125, 0])


@pytest.mark.parametrize("settings", [{"cells": 1}, {"directions": 1}])
def test_one_cell_or_direction_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        HOGSettings.model_validate(settings)
