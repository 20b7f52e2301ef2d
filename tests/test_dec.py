"""DEC and, with the reconstruction kept, IDEC: the loss on a batch worked out by hand, and a set it must solve."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from configs.load import FOLDER
from configs.schema import OptimiserSettings, PretrainSettings
from data.image_set import ImageSet
from engine.loop import Loop
from engine.processes import launch
from engine.progress import Display
from engine.randomness import BatchNoise, seed_all
from estimators.settings import KMeansClustererSettings
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from losses.dec import target_distribution
from methods.dec import DEC, DECConfig, DECObjective, DECSettings
from methods.joint import JointConfig
from methods.resolve import resolve_config
from models.autoencoder import ImageShape
from models.settings import DenseSettings
from parts.phases import Batch, GradientPhase, epochs_needed

ADAM = OptimiserSettings(learning_rate=1e-3)
CLUSTER = {"max_epochs": 5, "min_steps": 0, "batch_size": 50, "update_interval": 8, "optimiser": ADAM}


def bars(n: int = 400) -> ImageSet:
    """Four classes of noisy images: a bar at the top, bottom, left or right."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 60, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.arange(n) % 4
    images[labels == 0, :, :3] += 180
    images[labels == 1, :, 5:] += 180
    images[labels == 2, :, :, :3] += 180
    images[labels == 3, :, :, 5:] += 180
    return ImageSet("bars", "train", images, labels, ("top", "bottom", "left", "right"))


def config(**cluster: object) -> DECConfig:
    return DECConfig.model_validate(
        {
            "clusters": 4,
            "model": DenseSettings(hidden=(32,), latent=4),
            "pretrain": PretrainSettings(epochs=10, min_steps=0, batch_size=50, optimiser=ADAM),
            "initialise": KMeansClustererSettings(redos=5),
            "cluster": {
                "max_epochs": 5,
                "min_steps": 0,
                "batch_size": 50,
                "update_interval": 8,
                "optimiser": ADAM,
                **cluster,
            },
            "runtime": {"device": "cpu"},
        }
    )


def run(method: DEC, images: ImageSet) -> Loop:
    processes = launch(method.config.runtime)
    phases = method.phases(images.images, processes)
    keys = [phase.name for phase in phases]
    display = Display(quiet=True)
    loop = Loop(method, images.images, keys, method.config, processes, lambda *_: None, display)
    loop.run(phases)
    return loop


@pytest.mark.parametrize("reconstruction", [False, True])
def test_a_separable_set_is_found(reconstruction: bool) -> None:
    images = bars()
    seed_all(0)
    method = DEC(config(reconstruction=reconstruction, gamma=0.1), ImageShape(1, 8, 8))
    run(method, images)
    assert images.labels is not None
    assert agreement(contingency(images.labels, method.assign(images.images).labels))["acc"] > 0.99


def test_the_loss_weighs_the_clustering_term_by_gamma() -> None:
    images = bars(20)
    settings = DECSettings(reconstruction=True, gamma=0.1)
    method = DEC(config(**settings.model_dump()), ImageShape(1, 8, 8))
    method.head.place(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))
    q = method.assign(images.images).probabilities
    assert q is not None
    method.target.p = target_distribution(q)
    objective = DECObjective(
        method.backbone.normalise, method.backbone.branch(True), method.head, method.target, settings
    )
    index = torch.arange(3, 9)
    losses = objective(Batch(images.images[index], index, BatchNoise(0, 6, slice(0, 6), torch.device("cpu"))))

    p = target_distribution(q)
    kl = sum(float(p[i, j] * torch.log(p[i, j] / q[i, j])) for i in index.tolist() for j in range(4)) / 6
    x = method.backbone.normalise(images.images[index])
    mse = float(
        (method.backbone.autoencoder.decode(method.backbone.autoencoder.encode(x)) - x).detach().square().mean()
    )
    assert losses["clustering"].item() == pytest.approx(kl, rel=1e-4)
    assert losses["reconstruction"].item() == pytest.approx(mse, rel=1e-5)
    assert losses["loss"].item() == pytest.approx(mse + 0.1 * kl, rel=1e-5)


def test_detach_keeps_the_clustering_loss_from_the_encoder() -> None:
    images = bars(20)
    gradients = {}
    for detach in (False, True):
        seed_all(0)
        method = DEC(config(reconstruction=True, detach=detach), ImageShape(1, 8, 8))
        method.head.place(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))
        q = method.assign(images.images).probabilities
        assert q is not None
        method.target.p = target_distribution(q)
        objective = DECObjective(
            method.backbone.normalise, method.backbone.branch(True), method.head, method.target, method.config.cluster
        )
        index = torch.arange(20)
        losses = objective(Batch(images.images, index, BatchNoise(0, 20, slice(0, 20), torch.device("cpu"))))
        losses["clustering"].backward()
        gradients[detach] = [p.grad for p in method.backbone.autoencoder.encoder.parameters()]
        assert method.head.centroids.grad is not None
    assert all(g is not None and bool(g.any()) for g in gradients[False])
    assert all(g is None for g in gradients[True])


def test_detach_without_reconstruction_is_refused() -> None:
    with pytest.raises(ValidationError, match="nothing to train the encoder"):
        DECSettings(detach=True)


def test_without_reconstruction_the_decoder_is_not_trained() -> None:
    images = bars(100)
    method = DEC(config(), ImageShape(1, 8, 8))
    phases = method.phases(images.images, launch(method.config.runtime))
    trained = {id(p) for p in phases[-1].module.parameters()}
    assert trained == {id(p) for p in [*method.backbone.autoencoder.encoder.parameters(), method.head.centroids]}


def test_tol_ends_the_clustering() -> None:
    seed_all(0)
    method = DEC(config(tol=1.0, max_epochs=50), ImageShape(1, 8, 8))
    loop = run(method, bars())
    # The second refresh, at step 8, changes fewer than all assignments.
    assert loop.state.history[-1]["step"] == 10 * 8 + 8
    assert "ended by tol" in str([row.get("notice") for row in loop.state.history])


def beginning_with_a_centroid_far_from_all(**cluster: Any) -> DEC:
    seed_all(0)
    method = DEC(config(tol=0.0, max_epochs=4, **cluster), ImageShape(1, 8, 8))
    place = method.head.place
    lost = [torch.full((4,), 1000.0)]

    def misplaced(centroids: Tensor) -> None:
        place(torch.cat([centroids[:3], lost.pop().unsqueeze(0)]) if lost else centroids)

    method.head.place = misplaced  # type: ignore[method-assign]
    return method


def test_a_centroid_far_from_all_images_is_named_and_stays_without_them() -> None:
    images = bars()
    method = beginning_with_a_centroid_far_from_all()
    loop = run(method, images)
    assert "cluster 3 of 4 without images" in str([row.get("notice") for row in loop.state.history])
    assert method.assign(images.images).labels.unique().tolist() == [0, 1, 2]
    assert method.target.p is not None
    assert method.target.p[:, 3].max() < 1e-3  # p leaves it alone, and nothing breaks
    assert all(bool(p.isfinite().all()) for p in method.parameters())


def test_a_reset_finds_a_place_for_it() -> None:
    images = bars()
    method = beginning_with_a_centroid_far_from_all(reset={"interval": 2, "subsample": 200})
    run(method, images)
    labels = method.assign(images.images).labels
    assert labels.unique().tolist() == [0, 1, 2, 3]
    assert images.labels is not None
    assert agreement(contingency(images.labels, labels))["acc"] > 0.99


def test_small_sets_get_more_epochs_to_reach_the_steps() -> None:
    assert epochs_needed(images=60_000, batch_size=256, epochs=20, min_steps=2000) == 20
    assert epochs_needed(images=1415, batch_size=256, epochs=20, min_steps=2000) == 400
    assert epochs_needed(images=10, batch_size=256, epochs=20, min_steps=2000) == 2000
    assert epochs_needed(images=10, batch_size=256, epochs=20, min_steps=0) == 20


def test_unit_pixels_are_left_as_they_are() -> None:
    images = bars(50)
    for pixels, mean in (("unit", 0.0), ("standardised", float(images.images.double().mean() / 255))):
        method = DEC(config().model_copy(update={"pixels": pixels}), ImageShape(1, 8, 8))
        method.phases(images.images, launch(method.config.runtime))
        assert method.backbone.normalise.mean.item() == pytest.approx(mean, abs=1e-6)


def test_augmented_images_are_predicted_for_and_clean_ones_make_the_target() -> None:
    images = bars(40)
    shifted = {"augmentation": {"shift": 0.3}, "reconstruction": True}
    method = DEC(config(**shifted), ImageShape(1, 8, 8))
    method.head.place(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))
    phase = method.phases(images.images, launch(method.config.runtime))[-1]
    assert isinstance(phase, GradientPhase)
    assert phase.refresh is not None
    phase.refresh()
    q = method.assign(images.images).probabilities
    assert q is not None
    assert method.target.p is not None
    assert torch.allclose(method.target.p, target_distribution(q), atol=1e-6)  # of the clean images

    index = torch.arange(40)

    def losses(seed: int) -> dict[str, float]:
        noise = BatchNoise(seed, 40, slice(0, 40), torch.device("cpu"))
        return {name: value.item() for name, value in phase.module(Batch(images.images, index, noise)).items()}

    clean = float((method.target.p * (method.target.p / q).log()).sum() / 40)
    assert losses(0) == losses(0) != losses(1)
    assert losses(0)["clustering"] != pytest.approx(clean, rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"method": "idec"}, "keeps the reconstruction"),
        ({"method": "dcec", "model": {"name": "dense"}, "cluster": {"reconstruction": True}}, "convolutional"),
        ({"method": "dec-da"}, "augments images"),
        ({"method": "idec-da", "cluster": {"reconstruction": True}}, "augments images"),
        ({"method": "vae-dec", "cluster": {"reconstruction": True}}, "lower bound"),
        ({"pretrain": {"objective": "elbo"}}, "set pixels: unit"),
    ],
)
def test_a_name_that_does_not_fit_its_settings_is_refused(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        DECConfig.model_validate(settings)


def test_an_epoch_of_more_images_has_no_more_passes_over_all_of_them() -> None:
    """600,000 images in batches of 256: 2,343 steps an epoch, ten times as many as on 60,000."""
    settings = DECSettings(update_interval=140)
    assert [settings.refresh_interval(n) for n in (1_000, 60_000, 600_000)] == [140, 140, 1400]
    assert (600_000 // 256) / settings.refresh_interval(600_000) == pytest.approx((60_000 // 256) / 140, rel=0.01)
    assert DECSettings(update_interval=140, update_grows=False).refresh_interval(600_000) == 140
    for file in sorted((FOLDER / "paper").glob("*.yaml")):
        made = resolve_config(None, file, [], {})
        if isinstance(made, JointConfig) and hasattr(made, "cluster") and hasattr(made.cluster, "update_grows"):
            assert not made.cluster.update_grows, file
