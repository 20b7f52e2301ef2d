"""N2D: a name for ae-umap-gmm, and as many dimensions of UMAP as there are clusters."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from configs.load import FOLDER, ConfigError, read_yaml, validate
from engine.phase_keys import phase_keys
from engine.processes import launch
from engine.randomness import seed_all
from estimators.settings import PCASettings, UMAPSettings, UMAPStageSettings
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from methods.n2d import N2D, N2DConfig
from methods.resolve import resolve_config
from methods.two_stage import RepresentationSettings, TwoStage, TwoStageConfig
from models.autoencoder import ImageShape
from tests.small import run_config
from tests.test_dec import bars

SHAPE = ImageShape(1, 8, 8)


def config(*settings: str) -> TwoStageConfig:
    made = resolve_config("n2d", None, ["runtime.device=cpu", *settings], {})
    assert isinstance(made, TwoStageConfig)
    return made


def test_it_is_ae_umap_gmm_on_the_autoencoder_of_dec() -> None:
    made = config()
    assert made.representation.name == "ae-umap"
    assert made.cluster.name == "gmm"
    assert issubclass(N2D, TwoStage)
    dec = resolve_config("dec", None, [], {}).model_dump()
    assert made.representation.autoencoder is not None
    assert made.representation.autoencoder.model_dump() == {key: dec[key] for key in ("pixels", "model", "pretrain")}


def test_other_parts_do_not_go_by_its_name() -> None:
    with pytest.raises(ConfigError, match=r"called 'n2d', but its parts make it 'ae-umap-kmeans'"):
        config("cluster={name: kmeans}")
    with pytest.raises(ConfigError, match=r"called 'n2d', but its parts make it 'ae-gmm'"):
        config("representation.umap=null")


@pytest.mark.parametrize("k", [2, 7])
def test_umap_has_as_many_dimensions_as_there_are_clusters(k: int) -> None:
    made = config(f"clusters={k}")
    assert made.representation.umap is not None
    assert made.representation.umap.components == "clusters"  # as written, in the run's config.yaml
    method = TwoStage(made, SHAPE)
    umap = method.get_submodule("reducers.umap")
    assert umap.settings.components == k  # type: ignore[union-attr]
    assert method.notes[0] == "UMAP seeded, one thread"


def test_a_run_of_another_k_does_not_take_the_places_of_this_one() -> None:
    images = bars(20).images

    def keys(k: int) -> dict[str, str]:
        made = config(f"clusters={k}")
        compute = launch(made.runtime)
        seed_all(0)
        phases = TwoStage(made, SHAPE).phases(images, compute)
        return dict(zip([phase.name for phase in phases], phase_keys(phases, images, compute, {}), strict=True))

    one, other = keys(2), keys(7)
    assert one["pretrain"] == other["pretrain"]
    assert one["represent-umap"] != other["represent-umap"]


def test_a_number_of_dimensions_stays_what_it_is() -> None:
    assert UMAPStageSettings(components=3, neighbours=7).resolved(10) == UMAPSettings(components=3, neighbours=7)
    parts = RepresentationSettings(pca=PCASettings(components=5), umap=UMAPStageSettings(components="clusters"))
    assert parts.reducers(4) == {"pca": PCASettings(components=5), "umap": UMAPSettings(components=4)}
    assert RepresentationSettings().reducers(4) == {}


@pytest.mark.parametrize("wrong", ["cluster", 0, -3])
def test_other_words_and_numbers_are_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match="components"):
        UMAPStageSettings.model_validate({"components": wrong})


def test_the_published_recipe_is_valid() -> None:
    file = FOLDER / "paper" / "n2d.yaml"
    made = validate(N2DConfig, read_yaml(file), str(file))
    assert made.representation.umap == UMAPStageSettings(components="clusters", neighbours=20, min_dist=0.0)
    assert made.clusters == 10
    assert made.representation.autoencoder is not None
    assert made.representation.autoencoder.model.name == "dense"
    assert made.representation.autoencoder.pretrain.epochs == 1000


@pytest.mark.umap
def test_a_separable_set_is_found() -> None:
    images = bars(200)
    made = config(
        "clusters=4",
        "representation.autoencoder.model={name: dense, hidden: [32], latent: 4}",
        "representation.autoencoder.pretrain.epochs=50",
        "representation.autoencoder.pretrain.min_steps=0",
        "representation.autoencoder.pretrain.batch_size=50",
        "representation.umap.epochs=50",
    )
    method = run_config(made, images.images, launch(made.runtime)).method
    assert isinstance(method, TwoStage)
    assert method.embed(images.images).shape == (200, 4)
    assert method.space == "AE UMAP (4-d)"
    assert images.labels is not None
    found = method.assign(images.images)
    assert agreement(contingency(images.labels, found.labels))["acc"] > 0.99
    assert found.probabilities is not None
    assert torch.allclose(found.probabilities.sum(dim=1), torch.ones(200), atol=1e-5)
    assert method.decoded_centroids() is None
