"""Augmentation: each change alone against a plain one, per sample, and the same however a batch is split."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import functional as reference

from configs.schema import AugmentationSettings
from data.augmentation import Augmentation
from engine.randomness import BatchNoise

CPU = torch.device("cpu")
EVERYTHING = AugmentationSettings(
    shift=0.1,
    rotation=15,
    shear=8,
    crop=0.4,
    flip=0.5,
    brightness=0.5,
    contrast=0.5,
    sharpness=0.5,
    solarize=0.5,
    posterize=0.5,
    autocontrast=0.5,
    equalize=0.5,
    cutout=0.5,
)


class FixedNoise:
    """Uniform numbers that the test chose, one row for every image."""

    def __init__(self, rows: torch.Tensor) -> None:
        self.rows = rows

    def uniform(self, *shape: int) -> torch.Tensor:
        return self.rows[:, : shape[0]]

    def normal(self, *shape: int) -> torch.Tensor:
        raise NotImplementedError


def noise(n: int, seed: int = 0) -> BatchNoise:
    return BatchNoise(seed, n, slice(0, n), CPU)


def images(n: int = 4, side: int = 16) -> torch.Tensor:
    return torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(0))


def test_nothing_on_changes_nothing() -> None:
    x = images()
    assert Augmentation(AugmentationSettings())(x, noise(4)) is x


def test_a_sure_flip_is_a_flip() -> None:
    x = images()
    flipped = Augmentation(AugmentationSettings(flip=1.0))(x, noise(4))
    assert torch.allclose(flipped, x.flip(3), atol=1e-5)


def test_a_flip_by_halves_flips_some() -> None:
    x = images(200)
    changed = Augmentation(AugmentationSettings(flip=0.5))(x, noise(200))
    flipped = [torch.allclose(a, b.flip(2), atol=1e-4) for a, b in zip(changed, x, strict=True)]
    same = [torch.allclose(a, b, atol=1e-4) for a, b in zip(changed, x, strict=True)]
    assert sum(flipped) + sum(same) == 200
    assert 70 < sum(flipped) < 130


def test_a_shift_by_whole_pixels_moves_the_image() -> None:
    x = images(1)
    # u = 1 for both shifts: 0.125 of 16 pixels is 2 pixels, towards the top left.
    u = torch.tensor([[0.0, 1.0, 0.5, 0.5, 0.5, 1.0, 1.0]])
    moved = Augmentation(AugmentationSettings(shift=0.125))(x, FixedNoise(u))
    assert torch.allclose(moved[..., :14, :14], x[..., 2:, 2:], atol=1e-5)
    assert torch.allclose(moved[..., 15, :14], x[..., 15, 2:], atol=1e-5)  # beyond the edge, the edge goes on


@pytest.mark.parametrize(("u", "degrees"), [(1.0, 90.0), (0.0, -90.0)])
def test_a_right_angle_is_a_right_angle(u: float, degrees: float) -> None:
    x = images(1)
    rows = torch.tensor([[0.0, 1.0, u, 0.5, 0.5, 0.5, 0.5]])
    turned = Augmentation(AugmentationSettings(rotation=90))(x, FixedNoise(rows))
    assert torch.allclose(turned, reference.rotate(x, degrees), atol=1e-4)


def test_rotation_is_one_in_pixels_on_wide_images() -> None:
    x = torch.zeros(1, 1, 9, 21)
    x[..., 4, 8:13] = 1  # a horizontal stroke of 5 pixels at the centre
    rows = torch.tensor([[0.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]])
    turned = Augmentation(AugmentationSettings(rotation=90))(x, FixedNoise(rows))
    expected = torch.zeros_like(x)
    expected[..., 2:7, 10] = 1
    assert torch.allclose(turned, expected, atol=1e-4)


def test_a_crop_to_a_quarter_is_the_enlarged_quarter() -> None:
    x = images(1)
    # u = 1: area 1 - 0.75, side 1/2; its centre as far as it goes to the top left.
    rows = torch.tensor([[1.0, 1.0, 0.5, 0.0, 0.0, 0.5, 0.5]])
    cropped = Augmentation(AugmentationSettings(crop=0.75))(x, FixedNoise(rows))
    expected = torch.nn.functional.interpolate(x[..., :8, :8], scale_factor=2, mode="bilinear")
    assert torch.allclose(cropped[..., 1:14, 1:14], expected[..., 1:14, 1:14], atol=1e-5)


def test_brightness_and_contrast_by_hand() -> None:
    x = torch.tensor([0.1, 0.3]).view(1, 1, 1, 2)
    rows = torch.tensor([[1.0, 0.0]])
    bright = Augmentation(AugmentationSettings(brightness=0.5))(x, FixedNoise(rows))
    assert bright.flatten().tolist() == pytest.approx([0.15, 0.45])
    both = Augmentation(AugmentationSettings(brightness=0.5, contrast=0.5))(x, FixedNoise(rows))
    assert both.flatten().tolist() == pytest.approx([0.3 - 0.075, 0.3 + 0.075])


@given(n=st.integers(2, 12), parts=st.integers(2, 4), seed=st.integers(0, 50))
def test_an_image_is_changed_alike_by_one_process_or_several(n: int, parts: int, seed: int) -> None:
    n = n * parts
    x = torch.rand(n, 3, 8, 10, generator=torch.Generator().manual_seed(seed))
    augmentation = Augmentation(EVERYTHING)
    whole = augmentation(x, noise(n, seed))
    size = n // parts
    shards = [
        augmentation(x[start : start + size], BatchNoise(seed, n, slice(start, start + size), CPU))
        for start in range(0, n, size)
    ]
    assert torch.allclose(torch.cat(shards), whole, atol=1e-6)


@given(seed=st.integers(0, 200))
def test_pixels_stay_pixels_and_images_differ(seed: int) -> None:
    x = images(1).expand(6, 1, 16, 16)
    changed = Augmentation(EVERYTHING)(x, noise(6, seed))
    assert changed.shape == x.shape
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    assert all(not torch.equal(changed[0], other) for other in changed[1:])


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_shear_slants_vertical_lines_by_its_angle(sign: int) -> None:
    x = torch.zeros(1, 1, 33, 33)
    x[..., 16] = 1.0  # a vertical line through the centre
    drawn = FixedNoise(torch.full((1, 8), 0.5 + 0.5 * sign))
    slanted = Augmentation(AugmentationSettings(shear=45.0))(x, drawn)[0, 0]
    where = slanted.argmax(dim=1)[1:-1]  # the column of the line in every row
    assert torch.equal(where, 16 - sign * (torch.arange(1, 32) - 16))


def test_shear_and_rotation_together_are_one_matrix_after_the_other() -> None:
    augmentation = Augmentation(AugmentationSettings(rotation=30, shear=20))
    theta = augmentation.affine_maps(FixedNoise(torch.full((1, 8), 1.0)), 1.0)[0, :, :2]
    a, t = math.radians(30), math.tan(math.radians(20))
    rotation = torch.tensor([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    assert torch.allclose(theta, rotation @ torch.tensor([[1.0, t], [0.0, 1.0]]), atol=1e-6)


def test_a_loss_of_sharpness_is_torchvisions() -> None:
    x = images(3)
    smooth = Augmentation(AugmentationSettings(sharpness=0.5))(x, FixedNoise(torch.full((3, 1), 0.8)))
    assert torch.allclose(smooth, reference.adjust_sharpness(x, 1 - 0.4), atol=1e-6)


def test_solarizing_is_torchvisions() -> None:
    x = images(2)
    changed = Augmentation(AugmentationSettings(solarize=0.5))(x, FixedNoise(torch.tensor([[0.4, 0.3], [0.6, 0.3]])))
    assert torch.equal(changed[0], reference.solarize(x[0], 0.3))
    assert torch.equal(changed[1], x[1])  # not one of those that are


@pytest.mark.parametrize(("u", "bits"), [(0.0, 4), (0.3, 5), (0.6, 6), (0.99, 7)])
def test_posterizing_is_torchvisions(u: float, bits: int) -> None:
    files = torch.randint(0, 256, (1, 3, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    changed = Augmentation(AugmentationSettings(posterize=1.0))(files / 255, FixedNoise(torch.tensor([[0.5, u]])))
    assert torch.equal((changed * 255).round().to(torch.uint8), reference.posterize(files, bits))


def test_autocontrast_is_torchvisions_and_leaves_a_flat_image_alone() -> None:
    x = 0.2 + 0.5 * torch.rand(3, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    x[2, 1] = 0.3
    changed = Augmentation(AugmentationSettings(autocontrast=1.0))(x, noise(3))
    assert torch.allclose(changed, reference.autocontrast(x), atol=1e-6)
    assert torch.equal(changed[2, 1], x[2, 1])


@pytest.mark.parametrize("most", [2, 60, 256])
def test_equalizing_is_torchvisions(most: int) -> None:
    files = torch.randint(0, most, (4, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(most))
    files[0, 0] = 7  # one level alone: nothing to part
    changed = Augmentation(AugmentationSettings(equalize=1.0))(files / 255, noise(4))
    assert torch.equal((changed * 255).round().to(torch.uint8), reference.equalize(files))


def test_changes_of_tone_happen_to_as_many_images_as_they_say() -> None:
    x = images(1).expand(400, 1, 16, 16)
    for name in ("solarize", "posterize", "autocontrast"):
        changed = Augmentation(AugmentationSettings.model_validate({name: 0.25}))(x, noise(400))
        assert 70 < int((changed != x).flatten(1).any(dim=1).sum()) < 130, name


def test_a_hidden_square_by_hand() -> None:
    x = images(2, side=10)
    # Sides 0.8 · 10 · u: 4 pixels around the centre (5, 5), and 8 around the corner (0, 10), a quarter of them seen.
    rows = torch.tensor([[0.5, 0.5, 0.5], [0.999999, 0.0, 0.999999]])
    cut = Augmentation(AugmentationSettings(cutout=0.8))(x, FixedNoise(rows))
    expected = x.clone()
    expected[0, :, 3:7, 3:7] = x[0].mean()
    expected[1, :, :4, 6:] = x[1].mean()
    assert torch.allclose(cut, expected)


def test_what_is_off_draws_no_random_numbers() -> None:
    class Silent(FixedNoise):
        def uniform(self, *shape: int) -> torch.Tensor:
            raise AssertionError("drawn")

    x = images()
    assert Augmentation(AugmentationSettings())(x, Silent(torch.zeros(4, 1))) is x
    drawn: list[tuple[int, ...]] = []

    class Counted(FixedNoise):
        def uniform(self, *shape: int) -> torch.Tensor:
            drawn.append(shape)
            return torch.rand(4, *shape)

    Augmentation(AugmentationSettings(crop=0.4, flip=0.5, brightness=0.5))(x, Counted(torch.zeros(4, 1)))
    assert drawn == [(7,), (2,)]  # as before there were other changes: recorded runs hang on it
