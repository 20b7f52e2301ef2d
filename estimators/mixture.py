"""Gaussian mixture by expectation maximisation.

Source: Dempster, Laird, Rubin, "Maximum Likelihood from Incomplete Data via the EM Algorithm", 1977. scikit-learn
fits on the CPU, `mixture_on_device` elsewhere; densities are computed here, so that a checkpoint of arrays suffices.
"""

from __future__ import annotations

import math
import warnings
from typing import Final, final

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn.functional import pad

from estimators.base import Clusterer, Clustering, ClusteringError, check_clusters, check_points
from estimators.mixture_on_device import CollapsedError, Mixture, fit_on_device, log_joint_of_all
from estimators.on_device import is_cpu, on_cpu, where_float64_is
from estimators.settings import GMMSettings

COVARIANCES: Final = {"full": "full", "tied": "tied", "diagonal": "diag", "spherical": "spherical"}
BLOCK = 1024  # points at a time
ROW = 16  # numbers in a row are a multiple of it


@final
class GMMClusterer(Clusterer):
    """A mixture of k Gaussians in float64; probabilities are the responsibilities, the label is the largest.

    Arrays, besides float32 centroids: weights (k,), means (k, d), and covariances with the Cholesky factors of their
    inverses: (k, d, d) full, (d, d) tied, (k, d) diagonal, (k,) spherical.
    """

    def __init__(self, settings: GMMSettings) -> None:
        super().__init__()
        self.settings = settings

    def fit(self, points: Float[Tensor, "n d"], k: int, seed: int) -> None:
        check_clusters("GMM", points, k)
        near = where_float64_is(points)
        try:
            self.arrays = self._fit(near, k, seed) if is_cpu(near) else self._fit_on_device(near, k, seed)
        except (ValueError, CollapsedError) as error:
            raise ClusteringError(
                f"GMM: the covariance of a component collapsed ({self.settings.covariance}, {k} components, "
                f"{len(points)} points in {points.shape[1]} dimensions). Raise floor ({self.settings.floor:g}), or "
                "take fewer clusters, fewer dimensions or a simpler covariance: diagonal or spherical."
            ) from error

    def _fit(self, points: Float[Tensor, "n d"], k: int, seed: int) -> dict[str, Tensor]:
        # Here, since they take seconds that other methods need not spend.
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(
            k,
            covariance_type=COVARIANCES[self.settings.covariance],
            tol=self.settings.tol,
            reg_covar=self.settings.floor,
            max_iter=self.settings.iterations,
            n_init=self.settings.redos,
            init_params=self.settings.initialise,
            random_state=seed,
        )
        with warnings.catch_warnings():
            # That EM stopped early stands in the notes.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(points.double().numpy())
        return {
            "centroids": torch.from_numpy(mixture.means_).float(),
            "weights": torch.from_numpy(mixture.weights_),
            "means": torch.from_numpy(mixture.means_),
            "covariances": torch.from_numpy(mixture.covariances_),
            "precisions_cholesky": torch.from_numpy(mixture.precisions_cholesky_),
            "steps": torch.tensor(mixture.n_iter_),
            "converged": torch.tensor(mixture.converged_),
        }

    def _fit_on_device(self, points: Float[Tensor, "n d"], k: int, seed: int) -> dict[str, Tensor]:
        mixture, _, steps, converged = fit_on_device(points, k, self.settings, seed)
        return on_cpu(
            {
                "centroids": mixture.means.float(),
                "weights": mixture.weights,
                "means": mixture.means,
                "covariances": mixture.covariances,
                "precisions_cholesky": mixture.factors,
                "steps": torch.tensor(steps),
                "converged": torch.tensor(converged),
            }
        )

    def assign(self, points: Float[Tensor, "m d"]) -> Clustering:
        check_points("GMM", points)
        probabilities = self.joint_log_density(points).softmax(dim=1).float()
        return Clustering(probabilities.argmax(dim=1).cpu(), probabilities.cpu())

    def criteria(self, points: Float[Tensor, "m d"]) -> dict[str, float]:
        """log_likelihood: mean of a point. bic: −2 log-likelihood of all these points + parameters · ln of their
        number (Schwarz 1978); less is better."""
        log_likelihood = float(self.joint_log_density(points).logsumexp(dim=1).mean())
        n = len(points)
        return {"log_likelihood": log_likelihood, "bic": -2 * n * log_likelihood + self.free_parameters * math.log(n)}

    @property
    def free_parameters(self) -> int:
        """Free parameters: weights that sum to 1, means, and covariances that are symmetric."""
        k, d = self.centroids.shape
        covariances = {"full": k * d * (d + 1) // 2, "tied": d * (d + 1) // 2, "diagonal": k * d, "spherical": k}
        return k - 1 + k * d + covariances[self.settings.covariance]

    @property
    def notes(self) -> tuple[str, ...]:
        if not self.is_fitted or bool(self.arrays["converged"]):
            return ()
        return (f"EM stopped after {int(self.arrays['steps'])} iterations",)

    def joint_log_density(self, points: Float[Tensor, "m d"]) -> Float64[Tensor, "m k"]:
        """log weight + log density of every component, on the points' device.

        The rounding of a matrix product depends on its shape, and on where in memory a row begins. So blocks have one
        size, and their rows are filled up with zeros to a multiple of ROW numbers.
        """
        points = where_float64_is(points)
        if not is_cpu(points):
            names = ("weights", "means", "covariances", "precisions_cholesky")
            mixture = Mixture(*(self.arrays[name].to(points.device) for name in names))
            return log_joint_of_all(points, mixture, self.settings.covariance)
        d = points.shape[1]
        result = torch.empty(len(points), self.clusters, dtype=torch.float64)
        block = torch.zeros(BLOCK, d + -d % ROW, dtype=torch.float64)
        for first in range(0, len(points), BLOCK):
            rows = points[first : first + BLOCK]
            block[: len(rows), :d] = rows
            for component in range(self.clusters):
                density = self._log_density(block, component, d)[: len(rows)]
                result[first : first + BLOCK, component] = self.arrays["weights"][component].log() + density
        return result

    def _log_density(self, x: Float64[Tensor, "b padded"], component: int, d: int) -> Float64[Tensor, " b"]:
        """Of one component, for points whose dimensions from the d-th on are 0."""
        width = x.shape[1] - d
        mean = pad(self.arrays["means"][component], (0, width))
        factor = self._factor(component)
        # The precision is factor · factorᵀ, so that its half log-determinant is the sum of log diagonal entries.
        if factor.ndim == 2:
            whitened, half_log_det = (x - mean) @ pad(factor, (0, width, 0, width)), factor.diagonal().log().sum()
        else:
            whitened, half_log_det = (x - mean) * pad(factor.expand(d), (0, width)), factor.log().expand(d).sum()
        return half_log_det - 0.5 * (whitened.square().sum(dim=1) + d * math.log(2 * math.pi))

    def _factor(self, component: int) -> Float64[Tensor, "*shape"]:
        """Cholesky factor of a component's precision: (d, d), or its diagonal, (d,), or one number for all, ()."""
        factors = self.arrays["precisions_cholesky"]
        return factors if self.settings.covariance == "tied" else factors[component]
