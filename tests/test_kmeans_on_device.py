"""KMeans on the pretend accelerator, and by a sample: the CPU's answers, right values, and few waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from configs.schema import KMeansSettings
from data.sources import load
from engine.fit import fit
from estimators import kmeans as by_faiss
from estimators import on_device
from estimators.kmeans import KMeansClusterer, kmeans
from estimators.kmeans_on_device import TEST_EVERY, Pass, assign_and_sum, kmeans_on_device, moved, seed_rows
from estimators.settings import KMeansClustererSettings
from tests.pretend_accelerator import DEVICE, OnAccelerator, PretendAccelerator, pretend
from tests.small import small_config
from tests.test_estimators_contract import three_blobs
from tests.test_kmeans import blobs

SETTINGS = KMeansSettings(redos=5, iterations=100)


RESET = "cluster.reset={interval: 1, subsample: 100, initialise: {redos: 1}}"


@pytest.fixture
def accelerator() -> Iterator[PretendAccelerator]:
    with pretend() as (accelerator, _):
        yield accelerator


@pytest.mark.parametrize("few_numbers", [False, True])
def test_it_finds_what_the_cpu_finds(
    few_numbers: bool, accelerator: PretendAccelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inertia to 0.1 %, and the same clusters but for one point in a hundred."""
    if few_numbers:
        monkeypatch.setattr(on_device, "NUMBERS", 5 * 6 * 70)  # blocks of 70 points
    points = blobs(3000, 6)
    there, here = kmeans(points.to(DEVICE), 6, SETTINGS, seed=0), kmeans(points, 6, SETTINGS, seed=0)
    assert there.inertia == pytest.approx(here.inertia, rel=1e-3)
    assert adjusted_rand_score(there.labels, here.labels) > 0.99
    nearest = (points[:, None].double() - there.centroids.double()).square().sum(dim=2).min(dim=1)
    assert torch.equal(there.labels, nearest.indices)
    assert there.inertia == pytest.approx(float(nearest.values.sum()))


def test_separate_blobs_have_their_means_far_from_the_origin(accelerator: PretendAccelerator) -> None:
    points, blob = three_blobs(300)
    points = points + 1000
    fit = kmeans(points.to(DEVICE), 3, SETTINGS, seed=0)
    assert adjusted_rand_score(blob, fit.labels) == 1
    for cluster in range(3):
        mean = points[fit.labels == cluster].double().mean(dim=0)
        torch.testing.assert_close(fit.centroids[cluster].double(), mean, rtol=0, atol=2e-4)


def test_a_start_keeps_its_numbers(accelerator: PretendAccelerator) -> None:
    points, blob = three_blobs(90)
    start = 10 * torch.eye(4)[[2, 0, 1]]
    fit = kmeans(points.to(DEVICE), 3, SETTINGS, seed=0, start=start)
    assert torch.equal(fit.labels, torch.tensor([1, 2, 0])[blob])


@pytest.mark.parametrize("redos", [1, 20])
def test_the_host_waits_once_in_some_iterations(redos: int, accelerator: PretendAccelerator) -> None:
    """100 iterations at most, 20 looks at their end; 12 waits for the check, the start, the end and the answer."""
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    accelerator.waits.clear()
    kmeans(points, 30, KMeansSettings(redos=redos, iterations=100), seed=0)
    assert accelerator.waits.total() <= 12 + 100 // TEST_EVERY
    accelerator.waits.clear()
    kmeans(points, 30, KMeansSettings(redos=redos, iterations=TEST_EVERY - 1), seed=0)
    assert accelerator.waits.total() <= 12


def test_one_pass_is_what_every_point_says(accelerator: PretendAccelerator) -> None:
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    centroids = torch.tensor([[[0.0, 1.0], [4.0, 0.0]], [[9.0, 9.0], [1.0, 0.0]]])  # two restarts
    found = assign_and_sum(points.to(DEVICE), centroids.to(DEVICE))
    assert found.sums.cpu().tolist() == [[[1, 0], [5, 0]], [[0, 0], [6, 0]]]
    assert found.counts.cpu().tolist() == [[2, 1], [0, 3]]
    assert found.inertia.cpu().tolist() == [1 + 2 + 1, 1 + 0 + 16]


def test_clusters_without_points_halve_the_largest_ones(accelerator: PretendAccelerator) -> None:
    shift = torch.tensor([0.5, -0.5])
    old = torch.tensor([[[7.0, 7.0], [0.0, 0.0], [8.0, 8.0], [0.0, 0.0]]])
    sums = torch.tensor([[[0.0, 0.0], [6.0, 9.0], [0.0, 0.0], [40.0, 20.0]]]).double()
    found = Pass(sums, torch.tensor([[0.0, 3.0, 0.0, 10.0]]).double(), torch.zeros(1).double())
    new = moved(old.to(DEVICE), Pass(*(part.to(DEVICE) for part in found)), shift.to(DEVICE))
    # Cluster 0 takes half of cluster 3, the largest, and cluster 2 of cluster 1.
    assert new.cpu().tolist() == [[[4.5, 1.5], [2.0, 3.0], [2.5, 2.5], [4.0, 2.0]]]


def test_a_cluster_that_begins_empty_ends_with_points(accelerator: PretendAccelerator) -> None:
    points, blob = three_blobs(90)
    start = torch.tensor([[10.0, 0.0, 0.0, 0.0], [0.0, 5.0, 5.0, 0.0], [-1e4, 0.0, 0.0, 0.0]])
    fit = kmeans(points.to(DEVICE), 3, SETTINGS, seed=0, start=start)
    assert adjusted_rand_score(blob, fit.labels) == 1


def test_points_are_drawn_in_proportion_to_their_squared_distances(accelerator: PretendAccelerator) -> None:
    """Of 0, 1 and 3: after 0 the next is 3 in 9 of 10 draws, after 1 in 4 of 5, after 3 it is 0 in 9 of 13."""
    points = torch.tensor([[0.0], [1.0], [3.0]]).to(DEVICE)
    first, second = seed_rows(points, 2, 30_000, seed=0).cpu().T
    assert bool((first != second).all())
    for chosen, next_one, share in ((0, 2, 9 / 10), (1, 2, 4 / 5), (2, 0, 9 / 13)):
        drawn = second[first == chosen]
        assert len(drawn) / 30_000 == pytest.approx(1 / 3, abs=0.015)
        assert float((drawn == next_one).double().mean()) == pytest.approx(share, abs=0.02)


def test_of_several_trials_the_best_point_is_kept(accelerator: PretendAccelerator) -> None:
    """Beside 0, 30 points at 4 weigh 480 and one at 30 weighs 900. It leaves less than the others do, 480 to 676."""
    points = torch.cat([torch.zeros(1000), torch.full((30,), 4.0), torch.tensor([30.0])])[:, None].to(DEVICE)
    shares = []
    for trials in (1, 3):
        first, second = seed_rows(points, 2, 1000, seed=0, trials=trials).cpu().T
        shares.append(float((second[first < 1000] == 1030).double().mean()))
    alone = 900 / 1380
    assert shares == pytest.approx([alone, 1 - (1 - alone) ** 3], abs=0.05)


@pytest.mark.parametrize("where", [torch.device("cpu"), DEVICE])
def test_many_points_are_fitted_by_a_sample_that_is_named(
    where: torch.device, accelerator: PretendAccelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = blobs(3000, 6)
    all_of_them = kmeans(points, 6, SETTINGS, seed=0)
    monkeypatch.setattr(by_faiss, "SAMPLE", 500)
    sampled = kmeans(points.to(where), 6, SETTINGS, seed=0)
    assert len(sampled.labels) == 3000
    brute = (points[:, None].double() - sampled.centroids.double()).square().sum(dim=2).min(dim=1)
    assert torch.equal(sampled.labels, brute.indices)
    assert sampled.inertia == pytest.approx(float(brute.values.sum()))
    assert all_of_them.inertia < sampled.inertia < 1.01 * all_of_them.inertia
    assert noted(points.to(where)) == ("fitted on a sample of 500",)
    assert noted(points[:500].to(where)) == ()
    again = kmeans(points.to(where), 6, SETTINGS, seed=0)
    assert torch.equal(again.centroids, sampled.centroids)


def noted(points: Tensor) -> tuple[str, ...]:
    clusterer = KMeansClusterer(KMeansClustererSettings(redos=1))
    clusterer.fit(points, 6, seed=0)
    loaded = KMeansClusterer(KMeansClustererSettings(redos=1))
    loaded.load_state_dict(clusterer.state_dict())
    return loaded.notes


@pytest.mark.parametrize(
    ("name", "settings", "fits"),
    [
        ("dec", [RESET], 2),
        ("dekm", [], 3),
        ("raw-kmeans", [], 1),
        ("pca-kmeans", ["representation.pca.variance=0.8"], 1),
    ],
)
def test_methods_bring_their_points_there(
    name: str, settings: list[str], fits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dec: the start and a reset. dekm: the start, the one target of so few steps, and the answer."""
    seen: list[Tensor] = []

    def spied(points: Tensor, *rest: Any) -> Tensor:
        seen.append(points)
        return kmeans_on_device(points, *rest)

    monkeypatch.setattr(by_faiss, "kmeans_on_device", spied)
    images = load("digits").subset(torch.arange(200))
    with pretend() as (_, processes):
        fitted = fit(small_config(name, 0, settings), images, processes=processes)
        labels = fitted.method.assign(images.images).labels
    assert len(seen) == fits
    assert all(isinstance(points, OnAccelerator) for points in seen)
    assert not isinstance(labels, OnAccelerator)
