"""Every loss computes in float32 at the least, under autocast as without."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import normalize

import losses
from losses.contrastive import Memory, nt_xent
from losses.dcn import assigned_distance
from losses.dec import cluster_frequencies, clustering_kl, log_soft_assignment, soft_assignment, target_distribution
from losses.deepdpm import FullMixture, log_e_step, log_split_ratio, subcluster_distance
from losses.deepect import data_compression_loss, node_centre_loss, node_centres
from losses.dekm import drawn_to_centroids, scatter_basis, turned_mse, within_scatter
from losses.dipdeck import cluster_relations, inverse_spacing, related_distance
from losses.dkm import soft_kmeans, softmin
from losses.gaussian_kl import gaussian_kl
from losses.known_pairs import link_surprise, linked_distance
from losses.normal_inverse_wishart import (
    Moments,
    WishartPrior,
    log_marginal_likelihood,
    posterior_covariances,
    posterior_means,
)
from losses.reconstruction import bernoulli_nll, gaussian_nll, reconstruction_mse
from losses.scan import disagreement, marginal_divergence
from losses.self_labelling import balanced_cross_entropy
from losses.squared_distances import squared_distances
from losses.temi import pair_weight, pointwise_mutual_information
from losses.turtle import mean_labelling, soft_cross_entropy, soft_cross_entropy_gradient
from losses.vade import (
    Mixture,
    cluster_divergence,
    component_divergences,
    component_log_densities,
    latent_divergence,
    log_likelihoods,
    log_responsibilities,
)
from models.autoencoder import ImageShape
from parts.hog_axes import HOGAxes, HOGAxesSettings

N, D, K = 12, 5, 3


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


Z, CENTROIDS, LABELS = drawn(N, D), drawn(K, D, seed=1), torch.arange(N) % K
P, LOG_Q = drawn(N, K, seed=2).softmax(dim=1), drawn(N, K, seed=3).log_softmax(dim=1)
ONE_HOT = functional.one_hot(LABELS, K).double()
PRIOR = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
MIXTURE = Mixture(PRIOR.log(), CENTROIDS, drawn(K, D, seed=4))
VIEWS = normalize(drawn(3, N, D, seed=5), dim=2)
BASIS = torch.linalg.qr(drawn(D, D, seed=6)).Q
PIXELS = drawn(N, 1, 4, 4, seed=7).sigmoid()
SCATTER = drawn(D, D, seed=8)
# A root (4) over leaf 2 and a node (3) over leaves 0 and 1.
BELOW = torch.cat([torch.eye(3), torch.tensor([[1, 1, 0], [1, 1, 1]])]).bool()
SIBLINGS = torch.tensor([1, 0, 3, 2, 4])
COUNTS = torch.tensor([5.0, 4.0, 3.0], dtype=torch.float64)
SCATTERS = torch.eye(D, dtype=torch.float64) + 0.1 * (SCATTER @ SCATTER.T).expand(K, D, D)
MOMENTS, WISHART = Moments(COUNTS, CENTROIDS, SCATTERS), WishartPrior(0.5, D + 2.0, Z[0], SCATTERS[0])

CASES: dict[Callable[..., Tensor], tuple[Any, ...]] = {
    disagreement: (LOG_Q, P.log()),
    marginal_divergence: (P.mean(dim=0), PRIOR),
    pointwise_mutual_information: (LOG_Q, P.log(), P.mean(dim=0), 0.6),
    pair_weight: (LOG_Q.unsqueeze(0), P.log().unsqueeze(0)),
    soft_cross_entropy: (LOG_Q, P),
    soft_cross_entropy_gradient: (Z, LOG_Q.unsqueeze(0), P.unsqueeze(0)),
    mean_labelling: (torch.stack([LOG_Q, P.log()]).unsqueeze(1),),
    balanced_cross_entropy: (LOG_Q, ONE_HOT, ONE_HOT.mean(dim=0)),
    assigned_distance: (Z, CENTROIDS[LABELS]),
    linked_distance: (Z, Z.flip(0), LABELS > 0),
    link_surprise: (LOG_Q, P.log(), LABELS > 0),
    clustering_kl: (P, LOG_Q),
    nt_xent: (VIEWS[0], VIEWS[1], 0.2, Memory(VIEWS[2], torch.arange(N) > 2)),
    gaussian_kl: (Z, drawn(N, D, seed=9)),
    cluster_relations: (P[:K], torch.arange(K) > 0),
    related_distance: (drawn(N, K).square(), LABELS, P[:K]),
    inverse_spacing: (CENTROIDS, torch.arange(K) >= 0),
    component_log_densities: (Z, MIXTURE),
    log_likelihoods: (Z, MIXTURE),
    log_responsibilities: (Z, MIXTURE),
    component_divergences: (Z, drawn(N, D, seed=9), MIXTURE),
    latent_divergence: (Z, drawn(N, D, seed=9), LOG_Q, MIXTURE),
    cluster_divergence: (LOG_Q, MIXTURE),
    reconstruction_mse: (drawn(N, 1, 4, 4), PIXELS),
    bernoulli_nll: (drawn(N, 1, 4, 4), PIXELS),
    gaussian_nll: (drawn(N, 1, 4, 4), PIXELS),
    soft_assignment: (Z, CENTROIDS),
    log_soft_assignment: (Z, CENTROIDS),
    cluster_frequencies: (P,),
    target_distribution: (P, P.sum(dim=0)),
    softmin: (drawn(N, K).square(), torch.tensor(3.0, dtype=torch.float64)),
    soft_kmeans: (Z, CENTROIDS, 2.0),
    squared_distances: (Z, CENTROIDS),
    within_scatter: (Z, CENTROIDS, LABELS),
    scatter_basis: (SCATTER @ SCATTER.T,),
    node_centres: (CENTROIDS, PRIOR, BELOW),
    node_centre_loss: (CENTROIDS, Z, LABELS, torch.tensor(3)),
    data_compression_loss: (Z, BELOW.T[LABELS], drawn(5, D, seed=11), SIBLINGS, torch.arange(5) != SIBLINGS),
    drawn_to_centroids: (Z, CENTROIDS, LABELS, BASIS),
    log_e_step: (Z, FullMixture(PRIOR.log(), SCATTERS, CENTROIDS, drawn(K, seed=11))),
    subcluster_distance: (Z, LOG_Q[:, :2], drawn(N, 2, D, seed=12)),
    log_split_ratio: (COUNTS.unsqueeze(1).expand(K, 2), drawn(K, 2), drawn(K, seed=1), 10.0),
    log_marginal_likelihood: (MOMENTS, WISHART),
    posterior_means: (MOMENTS, WISHART),
    posterior_covariances: (MOMENTS, WISHART),
    turned_mse: (Z, BASIS, drawn(N, D, seed=9)),
}
"""Arguments of every public function of the package, in float64."""

FLOAT64_ALONE = {scatter_basis}
"""Its argument comes from a sum in float64, and its signature asks for that."""


def converted(value: Any, dtype: torch.dtype) -> Any:
    """Fresh leaves of `value`'s floating tensors, in `dtype`, that collect gradients."""
    if isinstance(value, Tensor):
        return value.detach().to(dtype).requires_grad_() if value.is_floating_point() else value
    return type(value)(*(converted(part, dtype) for part in value)) if isinstance(value, tuple) else value


def leaves(arguments: tuple[Any, ...]) -> list[Tensor]:
    flat = [part for value in arguments for part in (value if isinstance(value, tuple) else (value,))]
    return [part for part in flat if isinstance(part, Tensor) and part.is_floating_point()]


def computed(loss: Callable[..., Tensor], dtype: torch.dtype, autocast: bool) -> tuple[Tensor, list[Tensor | None]]:
    """The value, and the gradients of the sum of all entries weighted by numbers of their own, for every argument."""
    arguments = tuple(converted(value, dtype) for value in CASES[loss])
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = loss(*arguments)
    if not value.requires_grad:
        return value, []
    weights = drawn(value.numel(), seed=10).view(value.shape)
    gradients = torch.autograd.grad((value * weights).sum(), leaves(arguments), allow_unused=True)
    return value.detach(), list(gradients)


def same(first: tuple[Tensor, list[Tensor | None]], second: tuple[Tensor, list[Tensor | None]]) -> bool:
    """Whether values and gradients are of one kind and equal bit for bit."""
    pairs = [(first[0], second[0]), *zip(first[1], second[1], strict=True)]
    return all(a is b if a is None or b is None else (a.dtype == b.dtype and torch.equal(a, b)) for a, b in pairs)


def test_every_public_loss_is_among_the_cases() -> None:
    found = {
        function
        for module in pkgutil.iter_modules(losses.__path__, "losses.")
        if module.name != "losses.precision"  # what makes it so
        for name, function in inspect.getmembers(import_module(module.name), inspect.isfunction)
        if function.__module__ == module.name and not name.startswith("_")
    }
    assert found == set(CASES)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_autocast_changes_no_bit(dtype: torch.dtype) -> None:
    cases = [loss for loss in CASES if dtype == torch.float64 or loss not in FLOAT64_ALONE]
    differ = [loss.__name__ for loss in cases if not same(computed(loss, dtype, True), computed(loss, dtype, False))]
    assert differ == []


def test_half_precision_is_raised_to_float32() -> None:
    """The value is that of the same numbers in float32; the gradient is rounded once, on its way to them."""
    wrong = []
    for loss in CASES.keys() - FLOAT64_ALONE:
        value, gradients = computed(loss, torch.bfloat16, True)
        rounded = tuple(converted(converted(part, torch.bfloat16), torch.float32) for part in CASES[loss])
        expected = loss(*rounded)
        if expected.requires_grad:
            weights = drawn(expected.numel(), seed=10).view(expected.shape)
            exact = torch.autograd.grad((expected * weights).sum(), leaves(rounded), allow_unused=True)
            once = [None if g is None else g.bfloat16() for g in exact]
        else:
            once = []
        if value.dtype != expected.dtype or not same((value, gradients), (expected.detach(), once)):
            wrong.append(loss.__name__)
    assert wrong == []


def test_methods_take_their_losses_from_here() -> None:
    """torch's own would compute as autocast has it; so would a product of latents within one."""
    files = sorted((Path(losses.__path__[0]).parent / "methods").glob("*.py"))
    names = [
        (file.name, node.attr if isinstance(node, ast.Attribute) else node.id)
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute | ast.Name)
    ]
    theirs = {name for name in dir(functional) if name.endswith(("_loss", "entropy", "kl_div", "_with_logits"))}
    assert len(theirs) > 10
    assert [(file, name) for file, name in names if name in theirs] == []


def test_gradients_of_an_image_are_described_without_autocast_as_with_it() -> None:
    """Self-labelling puts them beside the encoder's feature; their axes were fitted in float32."""
    shape = ImageShape(1, 16, 16)
    axes = HOGAxes(shape, HOGAxesSettings(cells=4, components=6))
    pixels, z = torch.rand(20, 1, 16, 16, generator=torch.Generator().manual_seed(0)), VIEWS[0].float()[:, :4]
    axes.place(axes.fit(axes.describe(pixels)))
    plain = axes(z.repeat(2, 1)[:20], pixels)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(axes(z.repeat(2, 1)[:20], pixels), plain)
        assert axes.describe(pixels).dtype == torch.float32


def test_the_contrastive_gradient_is_right_under_autocast() -> None:
    """64 images at t = 0.2, beside float64: similarities in half precision are off by half a per cent."""
    views = normalize(drawn(2, 64, 32), dim=2)

    def gradient(dtype: torch.dtype) -> Tensor:
        first = views[0].to(dtype).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.float32):
            loss = nt_xent(first, views[1].to(dtype), 0.2)
        return torch.autograd.grad(loss, first)[0].double()

    exact = gradient(torch.float64)
    assert float((gradient(torch.float32) - exact).norm() / exact.norm()) < 1e-5
