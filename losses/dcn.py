"""The clustering loss of deep clustering networks: how far latents are from the centroids they are assigned to.

Source: Yang, Fu, Sidiropoulos, Hong, "Towards K-means-friendly Spaces: Simultaneous Deep Learning and Clustering",
ICML 2017, section 3: the second term of its objective.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from losses.precision import in_full_precision


@in_full_precision
def assigned_distance(z: Float[Tensor, "n d"], assigned: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Mean over the rows of |z_i - M s_i|², summed over the d dimensions, at least 0.

    Args:
        z: latents; the gradient flows through them.
        assigned: M s_i, for every latent the centroid of its cluster, held fixed.
    """
    return (z - assigned).square().sum(dim=1).mean()
