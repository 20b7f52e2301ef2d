"""Gaussian mixtures against scikit-learn's figures and torch's densities."""

from __future__ import annotations

import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch.distributions import MultivariateNormal

from estimators.base import ClusteringError
from estimators.mixture import COVARIANCES, GMMClusterer
from estimators.settings import GMMSettings


def points(n: int = 300, d: int = 3, seed: int = 0) -> torch.Tensor:
    """Three elongated, overlapping clusters."""
    generator = torch.Generator().manual_seed(seed)
    shear = torch.randn(d, d, generator=torch.Generator().manual_seed(9))
    centres = 3 * torch.randn(3, d, generator=torch.Generator().manual_seed(9))
    return torch.randn(n, d, generator=generator) @ shear + centres[torch.arange(n) % 3]


def fit(covariance: str, x: torch.Tensor, k: int = 3, **options: object) -> GMMClusterer:
    clusterer = GMMClusterer(GMMSettings.model_validate({"covariance": covariance} | options))
    clusterer.fit(x, k, seed=4)
    return clusterer


def matrix(clusterer: GMMClusterer, component: int, d: int) -> torch.Tensor:
    """The covariance of a component, (d, d)."""
    covariances = clusterer.arrays["covariances"]
    return {
        "full": lambda: covariances[component],
        "tied": lambda: covariances,
        "diagonal": lambda: covariances[component].diag(),
        "spherical": lambda: covariances[component] * torch.eye(d, dtype=torch.float64),
    }[clusterer.settings.covariance]()


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_densities_are_those_of_torch(covariance: str) -> None:
    clusterer = fit(covariance, points())
    x = points(40, seed=1).double()
    expected = torch.stack(
        [
            clusterer.arrays["weights"][j].log()
            + MultivariateNormal(clusterer.arrays["means"][j], matrix(clusterer, j, 3)).log_prob(x)
            for j in range(3)
        ],
        dim=1,
    )
    torch.testing.assert_close(clusterer.joint_log_density(x), expected)
    probabilities = clusterer.assign(x.float()).probabilities
    assert probabilities is not None
    torch.testing.assert_close(probabilities, expected.softmax(dim=1).float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("initialise", ["k-means++", "kmeans"])
def test_criteria_are_those_of_scikit_learn(covariance: str, initialise: str) -> None:
    reference = GaussianMixture(
        3, covariance_type=COVARIANCES[covariance], init_params=initialise, n_init=2, random_state=4
    ).fit(points().double().numpy())
    clusterer = fit(covariance, points(), initialise=initialise, redos=2)
    x = points(50, seed=1)
    criteria = clusterer.criteria(x)
    assert criteria["log_likelihood"] == pytest.approx(reference.score(x.double().numpy()), rel=1e-9)
    assert criteria["bic"] == pytest.approx(reference.bic(x.double().numpy()), rel=1e-9)
    assert clusterer.assign(x).labels.tolist() == reference.predict(x.double().numpy()).tolist()


def test_free_parameters_by_hand() -> None:
    # 3 components in 4 dimensions: 2 weights and 12 means, then the covariances.
    x = points(60, 4)
    numbers = {name: fit(name, x).free_parameters for name in COVARIANCES}
    assert numbers == {"full": 14 + 30, "tied": 14 + 10, "diagonal": 14 + 12, "spherical": 14 + 3}


def test_far_points_still_have_probabilities() -> None:
    # Their densities are 0 in float64; only logarithms tell which component is nearest.
    probabilities = fit("full", points()).assign(torch.full((2, 3), 1e4)).probabilities
    assert probabilities is not None
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(2))


@pytest.mark.parametrize("dimensions", [30, 83])
def test_the_rounding_does_not_depend_on_the_batch(dimensions: int) -> None:
    x = points(1500, dimensions)
    clusterer = fit("full", x, iterations=3)
    whole = clusterer.joint_log_density(x)
    parts = [clusterer.joint_log_density(part) for part in x.split([*[1] * 20, 3, 1001, 476])]
    assert torch.equal(whole, torch.cat(parts))
    order = torch.randperm(1500, generator=torch.Generator().manual_seed(0))
    assert torch.equal(clusterer.joint_log_density(x[order]), whole[order])


def test_em_that_has_not_converged_is_noted() -> None:
    assert fit("full", points(), iterations=2, tol=1e-9).notes == ("EM stopped after 2 iterations",)
    assert fit("full", points(), iterations=200).notes == ()


def test_a_collapsed_covariance_is_explained() -> None:
    line = 1e6 * torch.randn(60, 1, generator=torch.Generator().manual_seed(0)) * torch.ones(1, 3)
    with pytest.raises(ClusteringError, match=r"collapsed \(full, 2 components, 60 points in 3.*Raise floor \(1e-06\)"):
        fit("full", line, k=2)
    assert fit("spherical", line, k=2).clusters == 2
