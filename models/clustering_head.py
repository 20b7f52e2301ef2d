"""The clustering head of DEC: centroids in the latent space, and soft assignments to them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from losses.dec import log_soft_assignment, soft_assignment


class ClusteringHead(nn.Module):
    """Trainable centroids with Student-t soft assignment (Xie et al., ICML 2016, eq. 1).

    Args:
        clusters: k.
        latent: d.
        alpha: degrees of freedom of the kernel.
    """

    def __init__(self, clusters: int, latent: int, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.centroids = nn.Parameter(torch.zeros(clusters, latent))

    def place(self, centroids: Float[Tensor, "k d"]) -> None:
        """Put the centroids where an initialisation found them."""
        with torch.no_grad():
            self.centroids.copy_(centroids)

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Soft assignment q of every latent, rows sum to 1."""
        return soft_assignment(z, self.centroids, self.alpha)

    def log_probabilities(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """log q, which has a gradient where q is too small for a float."""
        return log_soft_assignment(z, self.centroids, self.alpha)
