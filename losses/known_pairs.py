"""The losses of known pairs: must-linked images belong to one cluster, cannot-linked ones to different clusters.

Sources: for latents Ren, Hu, Dai, Pan, Hoi, Xu, "Semi-supervised deep embedded clustering", Neurocomputing 2019 (SDEC);
for probabilities Zhang, Basu, Davidson, "A Framework for Deep Constrained Clustering", ECML PKDD 2019, and Hsu, Lv,
Schlosser, Odom, Kira, "Multi-class Classification without Multi-class Labels", ICLR 2019, where it is the likelihood of
the links.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from losses.precision import in_full_precision


@in_full_precision
def linked_distance(
    first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], must: Bool[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Mean over pairs of a |z - z'|², a = 1 for must-links and -1 for cannot-links (SDEC, the second term of its loss).

    It has no lower bound: only what is trained beside it keeps cannot-linked latents from moving apart for ever.

    Args:
        first: z of an image of every pair.
        second: z of the other.
        must: which pairs are must-links.
    """
    distances = (first - second).square().sum(dim=1)
    return torch.where(must, distances, -distances).mean()


@in_full_precision
def link_surprise(
    first: Float[Tensor, "*r n k"], second: Float[Tensor, "*r n k"], must: Bool[Tensor, " n"]
) -> Float[Tensor, "*r"]:
    """Mean over pairs of -log s for must-links and -log(1 - s) for cannot-links, in nats, at least 0.

        s = sum_c p_c q_c, the probability that both images are of one cluster

    Args:
        first: log p of an image of every pair; the rows of p sum to 1.
        second: log q of the other.
        must: which pairs are must-links.
    """
    together = torch.logsumexp(first + second, dim=-1)
    # Not log(1 - s): where s is 1 but for rounding, that is the most wrong and has no gradient.
    apart = torch.logsumexp(first + _log_of_others(second), dim=-1)
    return -torch.where(must, together, apart).mean(dim=-1)


def _log_of_others(log_q: Float[Tensor, "*r n k"]) -> Float[Tensor, "*r n k"]:
    """log(1 - q_c) of every cluster: of the likeliest by the sum of the others, which rounding leaves as they are."""
    k = log_q.shape[-1]
    likeliest = torch.arange(k, device=log_q.device) == log_q.argmax(dim=-1, keepdim=True)
    others = torch.logsumexp(log_q.masked_fill(likeliest, -torch.inf), dim=-1, keepdim=True)
    return torch.where(likeliest, others, torch.log1p(-log_q.exp().masked_fill(likeliest, 0)))
