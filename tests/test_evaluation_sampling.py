"""Scores of many points: from a sample, with its standard error, and said to be so."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from data.image_set import ImageSet
from evaluation import sampling
from evaluation.evaluate import evaluate, sampling_notes
from evaluation.internal import silhouette, silhouette_estimate
from evaluation.neighbour_purity import neighbour_purity, neighbour_purity_estimate
from evaluation.predictions import Predictions
from evaluation.sampling import estimate, sampled
from methods.base import Assignments
from report.finished_run import FinishedRun
from report.table import RunFacts, make_row, render
from tests.pretend_accelerator import DEVICE, pretend

N, SAMPLE = 3000, 600


def blobs(n: int = N, k: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    clusters = torch.randint(k, (n,), generator=generator)
    centres = 2 * torch.randn(k, 4, generator=generator)
    return centres[clusters] + torch.randn(n, 4, generator=generator), clusters


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sampling begins at once."""
    monkeypatch.setattr(sampling, "EXACT", N - 1)
    monkeypatch.setattr(sampling, "SAMPLE", SAMPLE)


def predictions() -> Predictions:
    points, classes = blobs()
    clusters = torch.where(torch.arange(N) % 7 == 0, 0, classes)
    images = ImageSet("toys", "train", torch.zeros(N, 1, 1, 1, dtype=torch.uint8), classes, tuple("abcde"))
    return Predictions(images, points, Assignments(clusters), 5, "latent (4-d)")


def test_a_sample_of_all_points_gives_the_exact_scores_without_an_error() -> None:
    points, clusters = blobs()
    everyone = torch.arange(N)
    found = silhouette_estimate(points, clusters, everyone)
    assert found is not None
    assert found.value == pytest.approx(silhouette(points, clusters), abs=1e-6)
    assert found.error == 0
    purity = neighbour_purity_estimate(points, clusters, everyone)
    assert purity == pytest.approx((neighbour_purity(points, clusters), 0))


def test_estimates_lie_within_their_errors() -> None:
    """In 20 samples each."""
    points, clusters = blobs()
    exact = {
        silhouette_estimate: silhouette(points, clusters),
        neighbour_purity_estimate: neighbour_purity(points, clusters),
    }
    for function, value in exact.items():
        assert value is not None
        scaled = []
        for seed in range(20):
            sample = torch.randperm(N, generator=torch.Generator().manual_seed(seed))[:SAMPLE].sort().values
            found: Any = function(points, clusters, sample)
            assert 0 < found.error < 0.02
            scaled.append((found.value - value) / found.error)
        assert max(map(abs, scaled)) < 3.5
        assert 0.6 < torch.tensor(scaled).square().mean().sqrt() < 1.5


def test_the_standard_error_by_hand() -> None:
    # Variance 1 of three of four points: √(1 · (1/3 − 1/4)).
    found = estimate(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), 4)
    assert found == pytest.approx((2.0, (1 / 12) ** 0.5))


def test_duplicates_and_points_alone_in_their_cluster() -> None:
    points = torch.tensor([[0.0], [0.0], [5.0], [5.0], [9.0]]) + 100
    clusters, everyone = torch.tensor([4, 4, 1, 1, 0]), torch.arange(5)
    found = silhouette_estimate(points, clusters, everyone)
    assert found is not None
    assert found.value == pytest.approx(4 / 5)  # 1 for each of the pairs, 0 for the one alone
    equal = silhouette_estimate(torch.ones(6, 3), torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([1, 4]))
    assert equal == (0.0, 0.0)
    assert silhouette_estimate(points, torch.zeros(5, dtype=torch.int64), everyone) is None


def test_sixty_thousand_images_and_more_are_scored_exactly() -> None:
    assert sampled(60_000) is sampled(70_000) is sampled(100_000) is None
    sample = sampled(100_001)
    assert sample is not None
    assert len(sample.unique()) == len(sample) == 20_000
    again = sampled(100_001)
    assert again is not None
    assert torch.equal(sample, again)


def test_the_scores_say_of_how_many_points_they_are(few: None) -> None:
    given = predictions()
    assert given.images.labels is not None
    scores = evaluate(given)
    exact = silhouette(given.embedding, given.assignments.labels)
    assert scores["silhouette_points"] == scores["neighbour_purity_points"] == SAMPLE
    assert scores["silhouette"] == pytest.approx(exact, abs=4 * float(scores["silhouette_error"]))  # type: ignore[arg-type]
    assert scores["silhouette"] != exact
    notes = sampling_notes(scores)
    assert notes[0] == f"silhouette from 600 of 3,000 points, standard error {scores['silhouette_error']:.4f}"
    assert notes[1].startswith("nearest neighbours from 600 of 3,000 points, standard error 0.0")
    run = RunFacts("dec", "dec", 5, 0, {"fit": 1.0}, None, 1, "cpu", 0.0, None, notes=notes)
    row = make_row(run, scores, "toys", "train", True, {})
    assert json.loads(render([row], "json"))["silhouette_points"] == SAMPLE
    assert "silhouette from 600 of 3,000 points" in " ".join(render([row], "table").split())
    unscored = evaluate(given, neighbours=False)
    assert unscored["neighbour_purity"] is None
    assert "neighbour_purity_points" not in unscored


def test_nothing_is_said_where_all_points_were_scored() -> None:
    scores = evaluate(predictions())
    assert sampling_notes(scores) == ()
    assert not any(key.endswith(("_points", "_error")) for key in scores)


def test_a_single_cluster_has_no_silhouette_to_estimate(few: None) -> None:
    given = predictions()
    given.assignments.labels.fill_(2)
    scores = evaluate(given)
    assert scores["silhouette"] is None
    assert "silhouette_points" not in scores
    assert len(sampling_notes(scores)) == 1


@pytest.mark.parametrize("tile", [64, 8192])
@pytest.mark.parametrize("exact", [True, False])
def test_a_device_gives_the_scores_of_the_cpu(tile: int, exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "EXACT", N if exact else N - 1)
    monkeypatch.setattr(sampling, "SAMPLE", SAMPLE)
    monkeypatch.setattr("evaluation.internal.TILE_ON_DEVICE", tile)
    given = predictions()
    here = evaluate(given)
    with pretend() as (accelerator, _):
        there = evaluate(given, device=DEVICE)
        assert accelerator.waits["a tensor is copied to the CPU"] > 0  # it did run there
    assert there.pop("silhouette_space") == here.pop("silhouette_space")
    assert there == pytest.approx(here, rel=1e-5)


def test_a_finished_run_is_scored_on_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Any = SimpleNamespace(loop=SimpleNamespace(done=True))
    module: Any = nn.Linear(1, 1)
    run = FinishedRun(Path("checkpoint.pt"), made, made, module, torch.device("meta"))
    monkeypatch.setattr("report.finished_run.score_row", lambda *given: {"device": str(given[-1])})
    assert run.row(predictions()) == {"device": "meta"}
