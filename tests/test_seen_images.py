"""Images of a fit keep their places to the bit, in whichever company they come."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from configs.schema import RuntimeSettings
from data.fingerprints import fingerprints
from data.sources import load
from engine.processes import launch
from methods.registry import METHODS
from models.autoencoder import ImageShape
from parts.seen_images import SeenImages
from tests.small import run_config, small_config

COMPUTE = launch(RuntimeSettings(device="cpu"))


def test_a_fingerprint_is_that_of_the_bytes() -> None:
    images = torch.randint(0, 256, (3, 2, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = [hashlib.blake2b(bytes(image.flatten().tolist()), digest_size=16).hexdigest() for image in images]
    assert [bytes(row.tolist()).hex() for row in fingerprints(images)] == expected
    channels_last = images.to(memory_format=torch.channels_last)
    assert torch.equal(fingerprints(channels_last), fingerprints(images))
    assert torch.equal(fingerprints(images[1:2]), fingerprints(images)[1:2])


def test_what_was_seen_is_recalled_and_nothing_else() -> None:
    images = torch.arange(12, dtype=torch.uint8).view(3, 1, 2, 2)
    seen = SeenImages()
    other = torch.full((3, 2), 9.0)
    assert torch.equal(seen.recall(images, other), other)
    seen.remember(images[:2], torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
    assert seen.recall(images.flip(0), other).tolist() == [[9.0, 9.0], [2.0, 3.0], [0.0, 1.0]]
    assert other.tolist() == [[9.0, 9.0]] * 3
    loaded = SeenImages()
    loaded.load_state_dict(seen.state_dict())
    assert loaded.recall(images, other).tolist() == [[0.0, 1.0], [2.0, 3.0], [9.0, 9.0]]
    loaded.load_state_dict({})  # of a run of before there were any
    assert torch.equal(loaded.recall(images, other), other)


@pytest.mark.umap
@pytest.mark.parametrize("name", ["n2d", "hog-umap-kmeans"])
def test_images_of_the_fit_keep_their_places_one_by_one(name: str, tmp_path: Path) -> None:
    images = load("digits").images[:300]
    method = run_config(small_config(name), images[:200], COMPUTE).method
    torch.save(method.state_dict(), tmp_path / "state.pt")
    fresh = METHODS[name].build(small_config(name), ImageShape(1, 8, 8))
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    fresh.eval()
    together = fresh.embed(images)
    assert torch.equal(together[:200], method.embed(images[:200]))
    for size in (1, 7):
        apart = torch.cat([fresh.embed(part) for part in torch.split(images, size)])
        assert torch.equal(apart[:200], together[:200])
        # New images lie among their neighbours' places, which move with the rounding of their own points.
        assert torch.allclose(apart[200:], together[200:], atol=1e-3)
