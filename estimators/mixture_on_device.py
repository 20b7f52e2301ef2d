"""Expectation maximisation by torch on the device that the points lie on, in float64.

As in scikit-learn, which fits on the CPU: the same starts, floor and end. One pass over blocks of points is an
expectation step and the sums of the next maximisation step; beside the points in float64, memory holds blocks of
`estimators.on_device.NUMBERS` numbers.

Source: as in `estimators.mixture`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn.functional import one_hot, pad

from configs.schema import KMeansSettings
from estimators.kmeans import kmeans
from estimators.kmeans_on_device import seed_rows
from estimators.on_device import block_rows
from estimators.settings import GMMSettings

RUNS = 10
"""Of a KMeans to start from. Together they take little longer than one."""
TINY = 10 * torch.finfo(torch.float64).eps
"""Added to the number of points of every component, which may have none."""


class CollapsedError(Exception):
    """A covariance that is not positive definite."""


class Mixture(NamedTuple):
    """Parameters of k Gaussians in d dimensions, shaped as `GMMClusterer` has them.

    Attributes:
        factors: Cholesky factors of the inverse covariances.
    """

    weights: Float64[Tensor, " k"]
    means: Float64[Tensor, "k d"]
    covariances: Float64[Tensor, "*shape"]
    factors: Float64[Tensor, "*shape"]


class Moments(NamedTuple):
    """Sums over points, weighted by their responsibilities: of 1, of x, and of what the covariances need of x²."""

    counts: Float64[Tensor, " k"]
    sums: Float64[Tensor, "k d"]
    squares: Float64[Tensor, "*shape"]


class Fitted(NamedTuple):
    """The outcome of EM from one start.

    Attributes:
        log_likelihood: mean of a point, before the last maximisation step.
    """

    mixture: Mixture
    log_likelihood: float
    steps: int
    converged: bool


def fit_on_device(points: Float[Tensor, "n d"], k: int, settings: GMMSettings, seed: int) -> Fitted:
    """The mixture of the start of highest likelihood, on the points' device.

    Raises:
        CollapsedError: when a covariance is not positive definite in spite of the floor.
    """
    mean = points.mean(dim=0, dtype=torch.float64)
    x = points.double() - mean
    drawn = torch.randint(2**31, (settings.redos,), generator=torch.Generator().manual_seed(seed))
    fits = [_from_start(x, _first(x, k, settings, start), settings) for start in drawn.tolist()]
    best = max(fits, key=lambda fit: fit.log_likelihood)
    return best._replace(mixture=best.mixture._replace(means=best.mixture.means + mean))


def log_joint(x: Float64[Tensor, "b d"], mixture: Mixture, covariance: str) -> Float64[Tensor, "b k"]:
    """log weight + log density of every component."""
    apart = x - mixture.means[:, None]  # (k, b, d)
    factors, d = mixture.factors, x.shape[1]
    if covariance in ("full", "tied"):
        whitened = apart @ factors
        half_log_det = factors.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)
    else:
        factors = factors.view(len(factors), -1).expand(-1, d)  # (k, d)
        whitened = apart * factors[:, None]
        half_log_det = factors.log().sum(dim=1)
    constant = mixture.weights.log() + half_log_det - 0.5 * d * math.log(2 * math.pi)  # (k,)
    return constant - 0.5 * whitened.square().sum(dim=2).T


def log_joint_of_all(points: Float[Tensor, "m d"], mixture: Mixture, covariance: str) -> Float64[Tensor, "m k"]:
    """`log_joint` in blocks of one size, filled up with zeros: no digit depends on how many points come."""
    k, d = mixture.means.shape
    size = block_rows(k * d)
    result = points.new_empty(len(points), k, dtype=torch.float64)
    for first in range(0, len(points), size):
        block = points[first : first + size].double()
        filled = pad(block, (0, 0, 0, size - len(block)))
        result[first : first + size] = log_joint(filled, mixture, covariance)[: len(block)]
    return result


def _first(x: Float64[Tensor, "n d"], k: int, settings: GMMSettings, seed: int) -> Mixture:
    """From a finished KMeans, or from single points that k-means++ draws."""
    if settings.initialise == "kmeans":
        labels = kmeans(x.float(), k, KMeansSettings(redos=RUNS, iterations=300), seed).labels.to(x.device)
        gamma = one_hot(labels, k).double()
    else:
        rows = seed_rows(x.float(), k, 1, seed, trials=2 + int(math.log(k)))[0]
        gamma = x.new_zeros(len(x), k)
        gamma[rows, torch.arange(k, device=x.device)] = 1
    size = block_rows(k * x.shape[1])
    parts = zip(torch.split(x, size), torch.split(gamma, size), strict=True)
    return _maximise(_total(_moments(block, rows, settings.covariance) for block, rows in parts), settings)


def _from_start(x: Float64[Tensor, "n d"], mixture: Mixture, settings: GMMSettings) -> Fitted:
    before, now = -math.inf, -math.inf
    for step in range(1, settings.iterations + 1):
        likelihood, found = _expectation(x, mixture, settings.covariance)
        mixture = _maximise(found, settings)
        before, now = now, float(likelihood) / len(x)
        if not math.isfinite(now):
            raise CollapsedError
        if abs(now - before) < settings.tol:
            return Fitted(mixture, now, step, True)
    return Fitted(mixture, now, settings.iterations, False)


def _expectation(x: Float64[Tensor, "n d"], mixture: Mixture, covariance: str) -> tuple[Float64[Tensor, ""], Moments]:
    """The log-likelihood of all points, and their moments under the mixture's responsibilities."""
    likelihood = x.new_zeros(())

    def parts() -> Iterator[Moments]:
        for block in torch.split(x, block_rows(mixture.means.numel())):
            joint = log_joint(block, mixture, covariance)
            log_density = joint.logsumexp(dim=1)
            likelihood.add_(log_density.sum())
            yield _moments(block, (joint - log_density[:, None]).exp(), covariance)

    return likelihood, _total(parts())


def _moments(x: Float64[Tensor, "b d"], gamma: Float64[Tensor, "b k"], covariance: str) -> Moments:
    if covariance == "full":
        squares = (gamma.T[:, :, None] * x).transpose(1, 2) @ x  # (k, d, d)
    elif covariance == "tied":
        squares = x.T @ x  # responsibilities sum to 1
    else:
        squares = gamma.T @ x.square()  # (k, d)
    return Moments(gamma.sum(dim=0), gamma.T @ x, squares)


def _total(parts: Iterator[Moments]) -> Moments:
    return reduce(lambda a, b: Moments(a.counts + b.counts, a.sums + b.sums, a.squares + b.squares), parts)


def _maximise(found: Moments, settings: GMMSettings) -> Mixture:
    """The parameters that make the points likeliest, given their responsibilities."""
    counts = found.counts + TINY
    means = found.sums / counts[:, None]
    if settings.covariance == "full":
        covariances = found.squares / counts[:, None, None] - means[:, :, None] * means[:, None]
    elif settings.covariance == "tied":
        covariances = (found.squares - (counts * means.T) @ means) / counts.sum()
    else:
        covariances = found.squares / counts[:, None] - means.square()
    if settings.covariance in ("full", "tied"):
        covariances.diagonal(dim1=-2, dim2=-1).add_(settings.floor)
    else:
        covariances = covariances + settings.floor
    if settings.covariance == "spherical":
        covariances = covariances.mean(dim=1)
    return Mixture(counts / counts.sum(), means, covariances, _factors(covariances, settings.covariance))


def _factors(covariances: Float64[Tensor, "*shape"], covariance: str) -> Float64[Tensor, "*shape"]:
    """Of the inverses. NaN where a covariance is not positive definite: the likelihood then tells of it."""
    if covariance not in ("full", "tied"):
        return covariances.rsqrt().where(covariances > 0, torch.nan)
    lower, info = torch.linalg.cholesky_ex(covariances)
    unit = torch.eye(lower.shape[-1], dtype=lower.dtype, device=lower.device).expand_as(lower)
    factors = torch.linalg.solve_triangular(lower, unit, upper=False).mT
    definite: Float64[Tensor, "*shape"] = factors.where((info == 0)[..., None, None], torch.nan)
    return definite
