"""A Gaussian mixture whose number of components changes, each with two sub-clusters: a table with free rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor, nn

from losses.deepdpm import FullMixture
from losses.normal_inverse_wishart import Moments, WishartPrior, posterior_covariances, posterior_means
from models.autoencoder import ModelError
from models.growing_heads import UNUSED

LARGEST = 2**26
"""Numbers in the covariances of all rows: 256 MiB in a step, and several times that where they are estimated."""


class Table(NamedTuple):
    """Clusters by row, on the CPU. Rows that are not in use hold any finite numbers.

    Attributes:
        alive: (most,), which rows are in use.
        counts: (most,), how many points.
        means: (most, d).
        covariances: (most, d, d), positive definite.
        sub_means: (most, 2, d), of the sub-clusters.
    """

    alive: Bool[Tensor, " most"]
    counts: Float64[Tensor, " most"]
    means: Float64[Tensor, "most d"]
    covariances: Float64[Tensor, "most d d"]
    sub_means: Float64[Tensor, "most 2 d"]

    @staticmethod
    def empty(most: int, latent: int) -> Table:
        """No row is in use."""
        numbers = torch.zeros(most, 3, latent, dtype=torch.float64)
        eye = torch.eye(latent, dtype=torch.float64).repeat(most, 1, 1)
        alive = torch.zeros(most, dtype=torch.bool)
        return Table(alive, numbers[:, 0, 0].clone(), numbers[:, 0].clone(), eye, numbers[:, 1:].clone())

    def put(
        self, rows: Int64[Tensor, " k"], moments: Moments, sub_means: Float[Tensor, "k 2 d"], prior: WishartPrior
    ) -> None:
        """Use `rows` for groups of such moments: their most probable means and covariances."""
        self.alive[rows] = True
        self.counts[rows] = moments.counts.cpu()
        self.means[rows] = posterior_means(moments, prior).cpu()
        self.covariances[rows] = posterior_covariances(moments, prior).cpu()
        self.sub_means[rows] = sub_means.cpu()

    def moved(self, source: Int64[Tensor, " most"]) -> Table:
        """Every row from where `source` says."""
        return Table(*(column[source] for column in self))


class GrowingMixture(nn.Module):
    """The mixture as a training step reads it, in tensors that stay where they are.

    Latents are standardised: they lose their mean, and are divided by one number, so that a dimension has variance 1 in
    the mean over all.

    Args:
        latent: d.
        most: rows.
        concentration: α of the Dirichlet process.

    Attributes:
        rows: those in use, ascending.

    Raises:
        ModelError: where full covariances of so many dimensions take too much memory.
    """

    alive: Bool[Tensor, " most"]
    log_weights: Float[Tensor, " most"]
    means: Float[Tensor, "most d"]
    whitenings: Float[Tensor, "most d d"]
    shifts: Float[Tensor, "most d"]
    log_scales: Float[Tensor, " most"]
    sub_means: Float[Tensor, "most 2 d"]
    centre: Float[Tensor, " d"]
    spread: Float[Tensor, ""]

    def __init__(self, latent: int, most: int, concentration: float) -> None:
        super().__init__()
        if most * latent**2 > LARGEST:
            raise ModelError(
                f"full covariances of {most} clusters in {latent:,} dimensions are {most * latent**2:,} numbers, and "
                f"{LARGEST:,} are allowed: set cluster.most to {LARGEST // latent**2} or less, or take a latent or a "
                "feature of fewer dimensions."
            )
        self.concentration = concentration
        self.rows: list[int] = []
        self.register_buffer("alive", torch.zeros(most, dtype=torch.bool))
        self.register_buffer("log_weights", torch.full((most,), UNUSED))
        self.register_buffer("means", torch.zeros(most, latent))
        self.register_buffer("whitenings", torch.eye(latent).repeat(most, 1, 1))
        self.register_buffer("shifts", torch.zeros(most, latent))
        self.register_buffer("log_scales", torch.zeros(most))
        self.register_buffer("sub_means", torch.zeros(most, 2, latent))
        self.register_buffer("centre", torch.zeros(latent))
        self.register_buffer("spread", torch.ones(()))

    @property
    def mixture(self) -> FullMixture:
        """For densities of standardised latents."""
        return FullMixture(self.log_weights, self.whitenings, self.shifts, self.log_scales)

    def standardise(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return (z - self.centre) / self.spread

    def within(self, z: Float[Tensor, "n d"], rows: Int64[Tensor, " n"]) -> Float[Tensor, "n d"]:
        """Standardised latents, less the mean of their cluster, over its standard deviation.

        That is one number for all dimensions, the geometric mean over the cluster's principal axes.
        """
        return (z - self.means[rows]) * torch.exp(-self.log_scales[rows] / z.shape[1]).unsqueeze(1)

    def positions(self) -> Float[Tensor, "k d"]:
        """The means of the rows in use, as latents."""
        return self.means[self.alive] * self.spread + self.centre

    @torch.no_grad()
    def measure(self, z: Float[Tensor, "n d"]) -> None:
        """Learn from all latents how to standardise them."""
        centred = z.double() - z.double().mean(dim=0)
        self.centre.copy_(z.double().mean(dim=0))
        self.spread.copy_(centred.square().mean().sqrt().clamp_min(torch.finfo(torch.float32).tiny))

    @torch.no_grad()
    def place(self, table: Table) -> None:
        """Become what `table` says. π is (N_k + α / k) / (N + α), its mean under a Dirichlet prior."""
        counts, alive = table.counts[table.alive], table.alive
        log_weights = torch.full_like(table.counts, UNUSED)
        log_weights[alive] = (
            (counts + self.concentration / len(counts)).log() - (counts.sum() + self.concentration).log()
        )  # fmt: skip
        factors = torch.linalg.cholesky(table.covariances)
        eye = torch.eye(factors.shape[1], dtype=factors.dtype)
        self.rows = alive.nonzero()[:, 0].tolist()
        self.alive.copy_(alive)
        self.log_weights.copy_(log_weights)
        self.means.copy_(table.means)
        whitenings = torch.linalg.solve_triangular(factors, eye, upper=False)
        self.whitenings.copy_(whitenings)
        self.shifts.copy_((whitenings @ table.means.unsqueeze(2)).squeeze(2))
        self.log_scales.copy_(factors.diagonal(dim1=1, dim2=2).log().sum(dim=1))
        self.sub_means.copy_(table.sub_means)

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self.rows = self.alive.cpu().nonzero()[:, 0].tolist()
