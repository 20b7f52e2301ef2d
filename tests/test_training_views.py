"""What a clustering phase trains on: clean images, augmented ones, or both with the mean of their losses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from data.augmentation import Augmentation
from engine.processes import launch
from engine.randomness import BatchNoise, seed_all
from losses.dec import target_distribution
from methods.dcn import DCN, DCNSettings
from methods.dec import DEC, DECSettings
from models.autoencoder import ImageShape
from parts.phases import Batch, Objective
from tests.joint_runs import run
from tests.test_dcn import small
from tests.test_dec import bars, config

IMAGES = bars(40)
MOVED: dict[str, Any] = {"augmentation": {"shift": 0.2, "rotation": 20}}
BOTH: dict[str, Any] = {**MOVED, "clean_beside": True}
METHODS = ("dec", "idec", "dcn")


def built(name: str, **cluster: Any) -> DEC | DCN:
    """With centroids drawn at random, and the clean images' target or clusters."""
    seed_all(0)
    centroids = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    if name == "dcn":
        dcn = DCN(small(**cluster), ImageShape(1, 8, 8))
        dcn.means.place(centroids)
        dcn.means.count(torch.arange(40) % 4)
        return dcn
    kept = {"reconstruction": True, "gamma": 0.1} if name == "idec" else {}
    dec = DEC(config(**kept, **cluster), ImageShape(1, 8, 8))
    dec.head.place(centroids)
    q = dec.assign(IMAGES.images).probabilities
    assert q is not None
    dec.target.p = target_distribution(q)
    return dec


def losses(name: str, **cluster: Any) -> dict[str, float]:
    method = built(name, **cluster)
    objective = method.phases(IMAGES.images, launch(method.run.runtime))[-1].module
    assert isinstance(objective, Objective)
    index = torch.arange(3, 19)
    noise = BatchNoise(0, 16, slice(0, 16), torch.device("cpu"))
    found = objective(Batch(IMAGES.images[index], index, noise))
    return {key: float(value.detach()) for key, value in found.items()}


@pytest.mark.parametrize("name", METHODS)
def test_both_views_have_the_mean_of_their_losses(name: str) -> None:
    clean, moved, both = losses(name), losses(name, **MOVED), losses(name, **BOTH)
    assert clean["loss"] != pytest.approx(moved["loss"], rel=1e-3)
    assert both.keys() == clean.keys()
    for key in both:
        assert both[key] == pytest.approx((clean[key] + moved[key]) / 2, rel=1e-5)


def test_each_view_is_counted_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Augmented pixels are drawn once a batch, whether clean ones stand beside them or not."""
    calls: list[int] = []
    plain = Augmentation.__call__

    def counted(self: Augmentation, *arguments: Any) -> Any:
        calls.append(len(arguments[0]))
        return plain(self, *arguments)

    monkeypatch.setattr(Augmentation, "__call__", counted)
    losses("dec", **BOTH)
    assert calls == [16]


@pytest.mark.parametrize("name", METHODS)
def test_a_run_on_both_views_solves_a_separable_set(name: str) -> None:
    images = bars()
    seed_all(0)
    settings: dict[str, Any] = {"augmentation": {"shift": 0.05, "rotation": 5}, "clean_beside": True}
    if name == "idec":
        settings |= {"reconstruction": True, "gamma": 0.1}
    shape = ImageShape(1, 8, 8)
    method = DCN(small(**settings), shape) if name == "dcn" else DEC(config(**settings), shape)
    run(method, images.images)
    assert images.labels is not None
    clusters = method.assign(images.images).labels
    assert len({(int(a), int(b)) for a, b in zip(clusters, images.labels, strict=True)}) == 4


@pytest.mark.parametrize("settings", [DECSettings, DCNSettings])
def test_clean_images_beside_none_are_refused(settings: type[DECSettings | DCNSettings]) -> None:
    with pytest.raises(ValidationError, match="no augmented images to stand beside; set augmentation as well"):
        settings(clean_beside=True)
