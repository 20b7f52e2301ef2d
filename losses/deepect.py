"""The losses of the deep embedded cluster tree, and the centres of its inner nodes.

Nodes of a tree with at most k leaves are numbered 0 to 2k - 2, the leaves first. Whatever the tree looks like, tables
have a row for every number; masks say which nodes there are.

Source: Mautz, Plant, Böhm, "DeepECT: The Deep Embedded Cluster Tree", Data Science and Engineering 2020, section 2.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from losses.precision import in_full_precision


@in_full_precision
def node_centres(
    centroids: Float[Tensor, "k d"], weights: Float[Tensor, " k"], below: Bool[Tensor, "m k"]
) -> Float[Tensor, "m d"]:
    """μ_n = Σ_l ω_l μ_l / Σ_l ω_l over the leaves l below every node n; 0 where there is no weight.

    The paper goes up from the leaves: (ω_a μ_a + ω_b μ_b) / (ω_a + ω_b), of the two children a and b. That is the same
    where a node's weight is the sum of its children's.

    Args:
        centroids: μ of the leaves. The gradient flows through them.
        weights: ω of the leaves, at least 0; 0 for those that there are not.
        below: whether a leaf is below a node; a leaf is below itself.
    """
    shares = below * weights
    return (shares @ centroids) / shares.sum(dim=1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)


@in_full_precision
def node_centre_loss(
    centroids: Float[Tensor, "k d"],
    z: Float[Tensor, "n d"],
    nearest: Int64[Tensor, " n"],
    leaves: Int64[Tensor, ""],
) -> Float[Tensor, ""]:
    """L_NC = 1/|L| · Σ_l |μ_l - mean of the latents at leaf l|, at least 0: it moves the centres, and nothing else.

    Args:
        centroids: μ of the leaves.
        z: latents of a batch, held fixed.
        nearest: the leaf of every latent. A leaf without latents adds nothing.
        leaves: |L|, how many leaves there are, at least 1.
    """
    members = functional.one_hot(nearest, len(centroids)).to(z.dtype)  # (n, k)
    counts = members.sum(dim=0).unsqueeze(1)
    means = (members.T @ z.detach()) / counts.clamp_min(1)
    distances: Tensor = torch.linalg.vector_norm((centroids - means) * (counts > 0), dim=1)
    return distances.sum() / leaves


@in_full_precision
def data_compression_loss(
    z: Float[Tensor, "n d"],
    inside: Bool[Tensor, "n m"],
    centres: Float[Tensor, "m d"],
    siblings: Int64[Tensor, " m"],
    nodes: Bool[Tensor, " m"],
) -> Float[Tensor, ""]:
    """L_DC = 1/(|N| n) · Σ_{i in N} Σ_{z in i} |s_i · (μ_i - z)|, s_i = (μ_i - μ_b) / |μ_i - μ_b|, at least 0.

    b is the sibling of node i. Latents are drawn to their nodes' centres in the direction of the siblings alone. At
    right angles to it they keep their differences, which a later split of the node may need.

    Args:
        z: latents of a batch. The gradient flows through them, and not through the centres.
        inside: whether a latent is at a leaf below a node, or at this leaf.
        centres: μ of all nodes, held fixed.
        siblings: of every node.
        nodes: N, the nodes that have a sibling. Without any the loss is 0.
    """
    centres = centres.detach()
    away = centres - centres[siblings]
    length = torch.linalg.vector_norm(away, dim=1, keepdim=True)
    directions = away / length.clamp_min(torch.finfo(away.dtype).tiny)
    offsets: Tensor = z @ directions.T - (centres * directions).sum(dim=1)  # (n, m)
    return (offsets.abs() * (inside & nodes)).sum() / (nodes.sum().clamp_min(1) * len(z))
