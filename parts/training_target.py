"""The target distribution of all training images, which stays as it is between two refreshes.

Source: Xie, Girshick, Farhadi, "Unsupervised Deep Embedding for Clustering Analysis", ICML 2016, eq. 3.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from losses.dec import cluster_frequencies, target_distribution
from parts.phases import Compute


class TrainingTarget(nn.Module):
    """The target distribution p of the whole training set, between two refreshes.

    It is part of the state, since the weights that it was computed from are gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.p: Float[Tensor, "n k"] | None = None

    def rows(self, indices: Int64[Tensor, " b"]) -> Float[Tensor, "b k"]:
        """p of the images at `indices`, on their device."""
        assert self.p is not None, "the target is refreshed before the first step"
        self.p = self.p.to(indices.device)
        return self.p[indices]

    def refresh(
        self, soft_assign: Callable[[Tensor], Tensor], images: UInt8[Tensor, "n c h w"], compute: Compute
    ) -> Int64[Tensor, " n"]:
        """Compute p anew from the soft assignment of all images, and return their largest entries (DEC, eq. 3).

        Args:
            soft_assign: images to q, (n, k).
            images: the training images.
            compute: the machine; every process makes the target of its share.
        """
        q = compute.shard(compute.map(soft_assign, images))
        p = target_distribution(q, compute.total(cluster_frequencies(q)))
        self.p = compute.gather(p, len(images))
        return compute.gather(q.argmax(dim=1), len(images))

    def get_extra_state(self) -> dict[str, Tensor | None]:
        return {"p": self.p}

    def set_extra_state(self, state: dict[str, Tensor | None]) -> None:
        self.p = state["p"]
