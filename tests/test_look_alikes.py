"""Near-duplicates and outliers, where what they are is known."""

from __future__ import annotations

import pytest
import torch

from data.image_set import ImageSet
from data.names import Names
from report.look_alikes import distinct, look_alikes
from report.outliers import outliers
from report.unusual import shown, unusual_tables


def pictures(n: int, side: int = 64) -> torch.Tensor:
    """Pictures of smooth patterns that have nothing in common."""
    random = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    return (255 * torch.nn.functional.interpolate(random, (side, side), mode="bicubic").clamp(0, 1)).to(torch.uint8)


def test_copies_saved_again_are_found_and_nothing_else() -> None:
    images = pictures(30)
    noisy = (images[4].int() + torch.randint(-4, 5, images[4].shape)).clamp(0, 255).to(torch.uint8)
    small = torch.nn.functional.interpolate(images[[7]].float(), (40, 40), mode="area")
    resized = torch.nn.functional.interpolate(small, (64, 64), mode="bilinear").clamp(0, 255).to(torch.uint8)
    groups = look_alikes(torch.cat([images, noisy[None], resized, images[[7]]]))
    assert groups == [[7, 31, 32], [4, 30]]


def test_brightness_and_contrast_count() -> None:
    image = pictures(1)
    darker, flatter = (image.float() * 1.0 - 20).clamp(0, 255), (image.float() - 128) / 2 + 128
    assert look_alikes(torch.cat([image, darker.to(torch.uint8), flatter.to(torch.uint8)])) == []


def test_plain_pictures_are_alike_where_their_colour_is() -> None:
    plain = torch.tensor([10, 12, 200], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 1, 8, 8)
    assert look_alikes(plain) == [[0, 1]]


def test_no_two_of_the_distinct_are_copies() -> None:
    images = pictures(6)
    order = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8])
    many = images[[0, 0, 0, 1, 1, 2, 3, 4, 5]]
    assert distinct(many, order, 3).tolist() == [0, 3, 5]
    assert distinct(many[:3], torch.arange(3), 2).tolist() == [0, 1]  # nothing better is there
    assert distinct(many, order[:0], 3).tolist() == []


def test_the_farthest_are_outliers() -> None:
    blob = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    far = torch.tensor([[30.0, 0.0, 0.0, 0.0], [0.0, 0.0, -60.0, 0.0]])
    assert outliers(torch.cat([blob, far])).tolist() == [301, 300]
    assert outliers(torch.ones(5, 2)).tolist() == []
    assert outliers(torch.ones(1, 2)).tolist() == []


def test_files_are_named_and_long_lists_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    images = (0.3 * pictures(14) + 90).to(torch.uint8)
    images[-1] = (torch.arange(64) // 32 * 255).to(torch.uint8)  # unlike all
    twice = torch.cat([images, images[:12]])
    names = Names.of([f"{i:02}.png" for i in range(len(twice))])
    alike, apart = unusual_tables(ImageSet("made", "all", twice, names=names))
    assert "Near-duplicates: 24 images in 12 groups" in alike
    assert "00.png, 14.png" in alike
    assert "09.png, 23.png" in alike
    assert "10.png" not in alike
    assert "… and 2 more groups" in alike
    assert "13.png" in apart
    assert unusual_tables(ImageSet("made", "all", images[:3])) == ["No near-duplicates and no outliers."]
    assert shown(["a.png", "b.png"]) == "   2  a.png, b.png"
    assert shown(["a.png", "b.png"], 14) == "   2  a.png, …"
