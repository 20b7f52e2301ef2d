"""Deep k-means (DKM): network and centroids by gradients, on KMeans with a minimum that is softened less and less.

1. An autoencoder is pretrained. KMeans on its latents z finds the first centroids r.
2. Network and centroids are trained on the reconstruction + λ · sum_k |z - r_k|² G_k, where G is a softmin of the
   squared distances at the inverse temperature α.
3. α grows in terms of equal length, until G is all but the nearest centroid. Then the training ends.
4. The answer is the nearest centroid.

Source: Moradi Fard, Thonet, Gaussier, "Deep k-Means: Jointly Clustering with k-Means and Learning Representations",
Pattern Recognition Letters 2020 (DKM).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64, Num
from pydantic import model_validator
from torch import Tensor

from configs.schema import OptimiserSettings, PositiveFloat, PositiveInt, Settings
from estimators.kmeans import inertia
from estimators.settings import KMeansClustererSettings
from losses.dkm import soft_kmeans, softmin
from losses.squared_distances import squared_distances
from methods.joint import CentroidJointMethod, JointConfig, SoftAssignments
from models.autoencoder import ImageShape
from models.batched import map_batches
from models.normalise import Normalise
from parts.backbone import Branch
from parts.initialisation import Centroids
from parts.phases import Batch, Compute, Objective, Phase
from parts.reset import CentroidPhaseSettings, resets


class AnnealedCentroids(Centroids):
    """Trainable centroids r, and where α stands.

    Args:
        clusters: k.
        latent: d.
        alphas: the sequence of α.
    """

    steps: Tensor
    """Training steps so far: a resumed run goes on at the same α."""
    alphas: Tensor

    def __init__(self, clusters: int, latent: int, alphas: Sequence[float]) -> None:
        super().__init__(clusters, latent, trained=True)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("alphas", torch.tensor(alphas, dtype=torch.float32), persistent=False)

    def alpha(self, total: int) -> Float[Tensor, ""]:
        """α of the step to come, out of so many in `total`."""
        term = self.steps * len(self.alphas) // total
        # By a row of one position: a number as the index would have to come from the device first.
        return self.alphas[term.clamp(max=len(self.alphas) - 1).view(1)].squeeze(0)

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Soft assignment at the last α, rows sum to 1."""
        return softmin(squared_distances(z, self.centroids), self.alphas[-1])


class DKMObjective(Objective):
    """The network's own loss + weight · mean over images of sum_k |z - r_k|² G_k, at the α of the step.

    Args:
        normalise: of pixels.
        branch: the network, with its own losses.
        head: centroids and α.
        weight: λ, divided by the pixels where the network's own loss is a mean over them.
        steps: of the whole phase.
    """

    def __init__(
        self, normalise: Normalise, branch: Branch, head: AnnealedCentroids, weight: float, steps: int
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.branch = branch
        self.head = head
        self.weight = weight
        self.steps = steps

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        z, own = self.branch(self.normalise(batch.images), batch.noise)
        alpha = self.head.alpha(self.steps)
        clustering = soft_kmeans(z, self.head.centroids, alpha)
        loss = self.weight * clustering
        for value in own.values():
            loss = loss + value
        return {"loss": loss, "clustering": clustering, **own, "alpha": alpha}

    def after_step(self, batch: Batch) -> None:
        self.head.steps += 1


class DKM(SoftAssignments, CentroidJointMethod):
    """Deep k-means, as the top of this file describes it.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images.
    """

    def __init__(self, config: DKMConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.head = AnnealedCentroids(config.clusters, self.backbone.latent, config.cluster.alpha.values())

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: the backbone. initialise: KMeans on z. cluster: reconstruction and softened KMeans."""
        settings, backbone, head = self.config.cluster, self.backbone, self.head
        steps = settings.epochs(len(images)) * max(len(images) // settings.batch_size, 1)
        weight = settings.weight / backbone.averaged

        def assign_all() -> Int64[Tensor, " n"]:
            z = compute.map(backbone.encode, images)
            return map_batches(head, z, backbone.device).argmax(dim=1)

        objective = DKMObjective(backbone.normalise, backbone.branch(True), head, weight, steps)
        training = self.joint_training(images, compute)
        return (
            *training.pretrain(),
            training.initialise_centroids(self.config.initialise, head),
            training.cluster(settings, objective, assign_all, restart=resets(training, settings, head, assign_all)),
        )

    def soft(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """The softened minimum at the last α; its largest entry is that of the nearest centroid."""
        q: Tensor = self.head(z)
        return q

    def criteria(self, z: Float[Tensor, "n d"]) -> dict[str, float]:
        """inertia: the sum of squared distances to the nearest centroid, in float64, KMeans' own minimum."""
        return {"inertia": inertia(z, self.centroid_positions())}

    @property
    def centroids(self) -> Centroids:
        return self.head


LARGEST_ALPHA = 1e9
"""Beyond it α·|z - r|² comes near the end of float32's range, and nothing is softened any more long before."""


class AlphaSettings(Settings):
    """α_1, …, α_terms, each for an equal share of the phase's steps; one term is a constant α.

    α_{n+1} = 2^(1 / ln(n+1)²) · α_n, for n = 1, 2, … (Moradi Fard et al., on the choice of α)
    """

    start: PositiveFloat = 0.1
    """α_1."""
    terms: PositiveInt = 15

    @model_validator(mode="after")
    def _stays_in_range(self) -> AlphaSettings:
        if (last := self.values()[-1]) > LARGEST_ALPHA:
            raise ValueError(
                f"alpha ends at {last:.3g}, above {LARGEST_ALPHA:.0e}, which float32 cannot use; "
                "lower alpha.start or alpha.terms"
            )
        return self

    def values(self) -> list[float]:
        """The whole sequence, ascending."""
        values = [self.start]
        for n in range(1, self.terms):
            values.append(min(2.0 ** (1 / math.log(n + 1) ** 2) * values[-1], 1e300))
        return values


class DKMSettings(CentroidPhaseSettings):
    """The clustering phase. The loss is the network's own (the reconstruction) + λ · the softened KMeans loss.

    Where the network's own loss is a mean over pixels, an autoencoder's, so is λ's term: it is divided by their number.
    There is no stopping rule: the annealing decides the length.
    """

    weight: PositiveFloat = 1.0
    """λ, beside an error summed over pixels, as in the paper: it means the same for images of any size."""
    alpha: AlphaSettings = AlphaSettings()
    update_interval: PositiveInt = 140
    """Steps between two assignments of the whole training set, which report how many change and decide nothing."""
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-3)


class DKMConfig(JointConfig):
    """Config of DKM."""

    method: Literal["dkm"] = "dkm"
    initialise: KMeansClustererSettings = KMeansClustererSettings(redos=20)
    cluster: DKMSettings = DKMSettings()
