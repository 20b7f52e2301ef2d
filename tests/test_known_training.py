"""Known labels in training: the losses by hand, what they change and what not, and every way in which a run goes on."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from configs.schema import RunConfig
from data.image_set import ImageSet
from data.known import Known, KnownLabels, KnownPairs
from engine.checkpoint import Checkpoint
from engine.errors import UsageError
from engine.fit import Fitted, fit
from engine.phase_keys import phase_keys
from engine.processes import Processes, launch
from engine.randomness import BatchNoise, seed_all
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from losses.known_pairs import link_surprise, linked_distance
from methods.base import SemiSupervised
from methods.registry import METHODS
from methods.resolve import resolve_config
from models.autoencoder import ImageShape
from models.cluster_heads import ClusterHeads
from parts.known_links import KnownLinks, LinkedHeads, LinkedLatents
from parts.phases import Batch, GradientPhase, Objective
from tests.pretend_accelerator import pretend
from tests.test_dec import bars

IMAGES = bars(120)
KNOWN = KnownLabels(torch.arange(0, 40, 2), torch.arange(20) % 2, ("a", "b"))
PAIRS = KnownPairs(torch.tensor([0, 3, 8]), torch.tensor([4, 5, 9]), torch.tensor([True, False, False]))
DENSE = "model={name: dense, hidden: [32], latent: 4}"
PACE = (
    "model={name: conv, latent: 8, layers: [{channels: 8, kernel: 3}], hidden: [], batch_norm: true}",
    "pretrain={epochs: 2, min_steps: 12, batch_size: 40, augmentation: {shift: 0.1, brightness: 0.3}}",
    "cluster={heads: 4, generations: 2, neighbours: 5, epochs: 4, min_steps: 40, batch_size: 40}",
)
IDEC = (
    DENSE,
    "pretrain={epochs: 5, min_steps: 60, batch_size: 40}",
    "initialise.redos=2",
    "cluster.max_epochs=2",
    "cluster.min_steps=60",
    "cluster.batch_size=40",
    "cluster.update_interval=10",
    "cluster.tol=0",
    "cluster.optimiser.learning_rate=2e-3",
    "cluster.known.weight=10",
)
SHORT = ("pretrain.min_steps=8", "pretrain.epochs=1", "cluster.min_steps=14")
"""Enough for a captured step to be replayed."""
FEW = bars(80)
SETTINGS: Mapping[str, tuple[str, ...]] = {"idec": IDEC, "pace": PACE}


def config(name: str, *settings: str) -> RunConfig:
    return resolve_config(name, None, ["clusters=2", "runtime.device=cpu", *SETTINGS.get(name, ()), *settings], {})


def fitted(name: str, known: Known | None, *settings: str, images: ImageSet = IMAGES, **more: Any) -> Fitted:
    return fit(config(name, *settings), images, known=known, **more)


def numbers(run: Fitted) -> dict[str, Tensor]:
    return {name: t.detach().cpu() for name, t in run.method.state_dict().items() if isinstance(t, Tensor)}


def same(one: Fitted, other: Fitted) -> bool:
    return all(torch.equal(value, numbers(other)[name]) for name, value in numbers(one).items())


def noise(rows: int) -> BatchNoise:
    return BatchNoise(3, rows, slice(0, rows), torch.device("cpu"))


class Given(Objective):
    """A loss of 2."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": torch.tensor(2.0), "own": torch.tensor(1.0)}


def test_the_term_of_latents_by_hand() -> None:
    images = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1)

    def encode(part: Tensor) -> Tensor:
        return part.flatten(1).float()  # an image's latent is its position

    links = KnownLinks(KNOWN, 0.5)
    objective = LinkedLatents(Given(), links, linked_distance, encode, images, launch(config("idec").runtime))
    found = objective(Batch(images[:6], torch.arange(6), noise(6)))
    pairs = KNOWN.links(noise(6).uniform(2))
    signed = [(1 if must else -1) * (a - b) ** 2 for a, b, must in zip(*map(Tensor.tolist, pairs), strict=True)]
    assert found["known"].item() == pytest.approx(sum(signed) / 6)
    assert found["loss"].item() == pytest.approx(2 + 0.5 * sum(signed) / 6)
    assert found["own"].item() == 1


def test_the_term_of_heads_by_hand() -> None:
    seed_all(0)
    heads, z = ClusterHeads(3, 5, 2, 1.0), torch.randn(40, 5)
    linked = LinkedHeads(heads, KnownLinks(PAIRS, 0.5))
    batch = Batch(torch.zeros(4, 1, 1, 1, dtype=torch.uint8), torch.arange(4), noise(4))
    first, second, must = PAIRS.links(noise(4).uniform(2))
    log_p = heads(z)
    assert torch.allclose(linked(z, batch), 0.5 * link_surprise(log_p[:, first], log_p[:, second], must))
    # Every pair is as likely as every other: the mean over many draws is that over the three.
    expected = 0.5 * link_surprise(log_p[:, PAIRS.first], log_p[:, PAIRS.second], PAIRS.must)
    assert torch.allclose(linked.own_losses(z, 0), expected, rtol=0.05)


@pytest.mark.parametrize("name", ["idec", "pace"])
@pytest.mark.parametrize("together", [(0, 1), (0, 2)])
def test_two_clusters_of_four_classes_are_those_that_labels_say(name: str, together: tuple[int, int]) -> None:
    """Without labels one and the same answer would have to be right both times."""
    assert IMAGES.labels is not None
    classes = torch.isin(IMAGES.labels, torch.tensor(together)).long()
    known = KnownLabels(torch.arange(60), classes[:60], ("others", "these"))
    run = fitted(name, known)
    table = contingency(classes[60:], run.assignments.labels[60:])
    assert agreement(table)["acc"] > 0.9


@pytest.mark.parametrize("name", ["idec", "pace"])
def test_only_who_is_of_one_class_counts(name: str) -> None:
    """Labels with other names and numbers say the same."""
    other = KnownLabels(KNOWN.images, 1 - KNOWN.classes, ("bag", "boot"))
    first, second = (fitted(name, known, *SHORT, images=FEW) for known in (KNOWN, other))
    assert same(first, second)


@pytest.mark.parametrize("name", ["idec", "pace"])
def test_labels_of_the_images_reach_nothing(name: str) -> None:
    assert FEW.labels is not None
    shuffled = ImageSet("bars", "train", FEW.images, FEW.labels.flip(0), FEW.class_names)
    without = ImageSet("bars", "train", FEW.images)
    first, *others = (fitted(name, KNOWN, *SHORT, images=images) for images in (FEW, shuffled, without))
    assert all(same(first, other) for other in others)


@pytest.mark.parametrize("name", ["idec", "pace"])
def test_phases_before_the_clusters_are_shared_and_the_others_are_not(name: str) -> None:
    def keys(known: Known | None) -> list[str]:
        found = config(name)
        seed_all(0)
        method = METHODS[name].build(found, ImageShape(*IMAGES.images.shape[1:]))
        compute = launch(found.runtime)
        assert isinstance(method, SemiSupervised)
        phases = (
            method.phases(IMAGES.images, compute)
            if known is None
            else method.semi_supervised_phases(IMAGES.images, compute, known)
        )
        first = [phase.name for phase in phases].index("cluster")
        assert isinstance(phases[first], GradientPhase)
        return phase_keys(phases, IMAGES.images, compute, {})[: first + 1]

    without, with_labels, with_pairs = keys(None), keys(KNOWN), keys(PAIRS)
    other = keys(KnownLabels(KNOWN.images, KNOWN.classes.roll(1), KNOWN.names))
    assert without[:-1] == with_labels[:-1] == with_pairs[:-1] == other[:-1]
    assert len({found[-1] for found in (without, with_labels, with_pairs, other)}) == 4


@pytest.mark.parametrize(
    ("name", "settings", "known"),
    [("idec", (), KNOWN), ("idec", ("cluster.known.loss=distance", "cluster.known.weight=1e-5"), PAIRS),
     ("pace", (), KNOWN), ("pace", (), PAIRS)],
)  # fmt: skip
def test_resumed_it_ends_with_the_same_bits(name: str, settings: tuple[str, ...], known: Known) -> None:
    saved: list[Checkpoint] = []
    each = ("runtime.checkpoint_seconds=0", *SHORT, *settings)

    def keep(checkpoint: Checkpoint) -> None:
        if checkpoint.optimiser is not None and checkpoint.loop.phase and checkpoint.loop.batch:
            saved.append(copy.deepcopy(checkpoint))

    whole = fitted(name, known, *each, images=FEW, save=keep)
    again = fitted(name, known, *each, images=FEW, earlier=saved[len(saved) // 2])
    assert same(whole, again)


@pytest.mark.parametrize(("name", "known"), [("idec", KNOWN), ("pace", PAIRS)])
def test_steps_are_captured_and_wait_for_nothing(name: str, known: Known) -> None:
    def there(processes: Processes, *settings: str) -> Fitted:
        return fitted(name, known, *SHORT, *settings, images=FEW, processes=processes)

    with pretend() as (accelerator, processes):
        captured = there(processes)
        assert accelerator.captured >= 2
    with pretend() as (_, processes):
        assert same(captured, there(processes, "runtime.capture=false"))


def test_a_method_that_cannot_learn_from_them_and_a_config_that_is_not_followed_are_refused() -> None:
    with pytest.raises(UsageError, match="raw-kmeans cannot learn from known labels"):
        fitted("raw-kmeans", KNOWN)
    with pytest.raises(UsageError, match=r"the config says known: 0\.1"):
        fitted("idec", None, "known=0.1")


def test_what_is_registered_is_what_methods_can() -> None:
    for name, entry in METHODS.items():
        cls: Any = entry.build
        assert entry.semi_supervised == hasattr(cls, "semi_supervised_phases"), name


def test_the_checkpoint_keeps_what_was_known() -> None:
    data = fitted("idec", KNOWN, "pretrain.min_steps=0", "cluster.min_steps=0").checkpoint.data
    assert data["known"]["images"].tolist() == KNOWN.images.tolist()
    assert data["known"]["names"] == ["a", "b"]
    assert "labels of 20 of 120 images known" in data["notes"]
