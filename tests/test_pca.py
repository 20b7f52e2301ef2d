"""PCA against scikit-learn's and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA as Reference

from estimators.base import RepresentationError
from estimators.pca import PCA, ROWS
from estimators.settings import PCASettings


def cloud(n: int, d: int, seed: int = 0) -> torch.Tensor:
    """Points about (10, …), of another spread in every direction."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=generator) * torch.linspace(2, 0.1, d)
    return 10 + torch.randn(n, d, generator=generator) @ mix


def fitted(points: torch.Tensor, **kwargs: object) -> PCA:
    pca = PCA(PCASettings.model_validate(kwargs))
    pca.fit(points, seed=0)
    return pca


# More points than dimensions, several blocks of them, and fewer points than dimensions.
@pytest.mark.parametrize(("n", "d"), [(200, 12), (ROWS + 5, 7), (9, 40)])
def test_it_is_scikit_learns(n: int, d: int) -> None:
    points = cloud(n, d)
    reference = Reference(6, svd_solver="full").fit(points.double().numpy())
    pca = fitted(points, components=6)
    assert np.allclose(pca.arrays["mean"], reference.mean_)
    assert np.allclose(pca.arrays["variances"], reference.explained_variance_)
    # Up to the sign.
    turned = np.sign((pca.arrays["components"].numpy() * reference.components_).sum(axis=1))
    assert np.allclose(pca.arrays["components"], reference.components_ * turned[:, None], atol=1e-8)
    expected = reference.transform(points.double().numpy()) * turned
    assert np.allclose(pca.transform(points), expected, atol=1e-4)
    assert pca.transform(points).dtype == torch.float32
    assert np.allclose(pca.invert(pca.transform(points)), reference.inverse_transform(expected * turned), atol=1e-4)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.95, 0.999, 0.9999999999999999])
@pytest.mark.parametrize(("n", "d"), [(300, 20), (8, 30)])
def test_a_share_keeps_as_many_components_as_scikit_learn(share: float, n: int, d: int) -> None:
    points = cloud(n, d)
    pca = fitted(points, variance=share)
    # By rounding scikit-learn may want one component more than there are.
    assert len(pca.arrays["components"]) == min(Reference(share).fit(points.double().numpy()).n_components_, n, d)
    spectrum = Reference().fit(points.double().numpy()).explained_variance_ratio_
    assert np.allclose(pca.arrays["ratios"], spectrum)


def test_by_hand() -> None:
    # Variance 4 + 4 along (3, 4) / 5 and 1 + 1 across, each times 1 / (4 - 1).
    points = torch.tensor([[1.2, 1.6], [-1.2, -1.6], [-0.8, 0.6], [0.8, -0.6]]) + 7
    pca = fitted(points, components=2)
    assert pca.arrays["mean"].tolist() == pytest.approx([7, 7])
    assert pca.arrays["components"].flatten().tolist() == pytest.approx([0.6, 0.8, 0.8, -0.6])
    assert pca.arrays["variances"].tolist() == pytest.approx([8 / 3, 2 / 3])
    assert pca.arrays["ratios"].tolist() == pytest.approx([0.8, 0.2])
    assert pca.transform(points[:1]).flatten().tolist() == pytest.approx([2, 0], abs=1e-6)
    # The share that the first component explains is reached by it alone, a larger one is not.
    assert len(fitted(points, variance=0.79).arrays["components"]) == 1
    assert len(fitted(points, variance=0.81).arrays["components"]) == 2


def test_the_largest_coordinate_of_a_component_is_positive() -> None:
    points = cloud(100, 8)
    for components in (
        fitted(points, components=8).arrays["components"],
        fitted(-points, components=8).arrays["components"],
    ):
        assert (components.gather(1, components.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_values_far_from_zero_lose_nothing() -> None:
    points = torch.randint(0, 100, (500, 3), generator=torch.Generator().manual_seed(0)).float()
    near, far = fitted(points, components=3), fitted(points + 1e5, components=3)
    assert torch.allclose(near.arrays["variances"], far.arrays["variances"], rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 60), seed=st.integers(0, 100))
def test_one_batch_or_many(size: int, seed: int) -> None:
    points = cloud(60, 9, seed)
    pca = fitted(points, components=4)
    parts = torch.cat([pca.transform(part) for part in points.split(size)])
    assert torch.allclose(parts, pca.transform(points), rtol=1e-6, atol=1e-6)


def test_state_survives_a_file(tmp_path) -> None:
    points = cloud(50, 5)
    pca = fitted(points, variance=0.9)
    torch.save(pca.state_dict(), tmp_path / "pca.pt")
    other = PCA(PCASettings(variance=0.9))
    other.load_state_dict(torch.load(tmp_path / "pca.pt", weights_only=True))
    assert torch.equal(other.transform(points), pca.transform(points))
    # What is not kept does not fill the file.
    assert all(array.untyped_storage().nbytes() == array.nbytes for array in pca.arrays.values())


def test_titles() -> None:
    assert PCA(PCASettings(components=10)).title == "PCA 10-d"
    assert PCA(PCASettings(variance=0.9)).title == "PCA 0.9 of the variance"
    points = torch.tensor([[1.0, 0], [-1, 0], [0, 0.1], [0, -0.1]])
    assert fitted(points, variance=0.9).title == "PCA 1-d"


def test_more_components_than_there_are_are_refused() -> None:
    with pytest.raises(RepresentationError, match="7 points in 9 dimensions have at most 7 .* received components: 8"):
        fitted(cloud(7, 9), components=8)
    with pytest.raises(RepresentationError, match="at most 3 .* received components: 4"):
        fitted(cloud(7, 3), components=4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    points = cloud(7, 3)
    points[3, 1] = value
    with pytest.raises(RepresentationError, match="finite"):
        fitted(points, components=2)


def test_equal_points_have_no_variance_to_share() -> None:
    with pytest.raises(RepresentationError, match="all 5 points are equal"):
        fitted(torch.ones(5, 3), variance=0.9)
    pca = fitted(torch.ones(5, 3), components=2)
    assert pca.transform(torch.ones(2, 3)).tolist() == [[0, 0], [0, 0]]
    assert pca.arrays["ratios"].tolist() == [0, 0, 0]


def test_a_share_needs_no_point_twice() -> None:
    # A single point: no variance, no spectrum.
    assert fitted(torch.ones(1, 3), components=1).arrays["variances"].tolist() == [0]
