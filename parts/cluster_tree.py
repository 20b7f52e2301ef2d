"""A binary tree of clusters that grows and is pruned while its leaves' centroids are trained.

Every table has room for as many leaves as there may be at most. So no parameter changes its shape, the optimiser's
state stays valid, and a step can be captured. Nodes are numbered 0 to 2k - 2: the leaves have the first k numbers.

Source: Mautz, Plant, Böhm, "DeepECT: The Deep Embedded Cluster Tree", Data Science and Engineering 2020, section 2.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from losses.deepect import node_centres
from losses.squared_distances import squared_distances
from parts.initialisation import Centroids

NONE = -1
"""The parent of the root, and of a number that no node has."""


class ClusterTree(Centroids):
    """Trained centroids of the leaves, which node is below which, and how many latents each leaf has of late.

    A leaf keeps its number until it is pruned. A split leaf's number goes to one of its children.

    Args:
        leaves: k, the most that there may be.
        latent: d.
        threshold: a leaf of a smaller weight is pruned.
    """

    parents: Tensor
    """(2k - 1,), int64, the node above every node."""
    siblings: Tensor
    """(2k - 1,), int64, the other node below the same one; its own number for the root."""
    below: Tensor
    """(2k - 1, k), bool, the leaves below every node; a leaf is below itself."""
    alive: Tensor
    """(2k - 1,), bool, whether there is such a node."""
    weights: Tensor
    """(k,), float32, ω: how many latents of a batch a leaf has, a mean in which every step counts half of the next."""
    counts: Tensor
    """(k,), float32, how many latents of the last batch every leaf has."""

    def __init__(self, leaves: int, latent: int, threshold: float) -> None:
        super().__init__(leaves, latent, trained=True)
        self.capacity, self.threshold = leaves, threshold
        nodes = 2 * leaves - 1
        self.register_buffer("parents", torch.full((nodes,), NONE))
        self.register_buffer("siblings", torch.arange(nodes))
        self.register_buffer("below", torch.zeros(nodes, leaves, dtype=torch.bool))
        self.register_buffer("alive", torch.zeros(nodes, dtype=torch.bool))
        self.register_buffer("weights", torch.zeros(leaves))
        self.register_buffer("counts", torch.zeros(leaves))

    @property
    def leaves(self) -> Bool[Tensor, " k"]:
        """Which leaves there are."""
        return self.alive[: self.capacity]

    @property
    def paired(self) -> Bool[Tensor, " m"]:
        """Which nodes have a sibling. Where a leaf has died, its sibling stands for the two."""
        return self.alive & self.alive.gather(0, self.siblings) & (self.parents != NONE)

    def nearest(self, z: Float[Tensor, "n d"]) -> Int64[Tensor, " n"]:
        """The leaf whose centroid is nearest to every latent."""
        squared = squared_distances(z, self.centroids.detach())
        return squared.masked_fill(~self.leaves, torch.inf).argmin(dim=1)

    def inside(self, nearest: Int64[Tensor, " n"]) -> Bool[Tensor, "n m"]:
        """Whether a latent at this leaf is at a node: at the leaf itself and at all above it."""
        return self.below.index_select(1, nearest).T

    def centres(self) -> Float[Tensor, "m d"]:
        """The centres of all nodes: those of inner nodes are the weighted means of their leaves'."""
        return node_centres(self.centroids.detach(), self.weights, self.below)

    def count(self, nearest: Int64[Tensor, " n"]) -> None:
        """Note at which leaves the latents of a batch are."""
        self.counts.copy_(functional.one_hot(nearest, self.capacity).sum(dim=0))

    def age(self) -> None:
        """ω ← (ω + count) / 2, and leaves whose ω is below the threshold die, but never the one of the largest ω.

        Without waiting for the device.
        """
        self.weights.copy_((self.weights + self.counts) / 2)
        leaves = self.leaves & (self.weights >= self.weights.amax().clamp_max(self.threshold))
        self.weights.mul_(leaves)
        self.alive.copy_((self.below & leaves).any(dim=1))

    def plant(self, centroids: Float[Tensor, "2 d"], weights: Float[Tensor, " 2"]) -> None:
        """Begin with a root and two leaves."""
        self.weights.zero_()
        self._place([0, 1], centroids, weights)
        self._write({0: self.capacity, 1: self.capacity}, [0, 1])

    def split(self, leaf: int, centroids: Float[Tensor, "2 d"], weights: Float[Tensor, " 2"]) -> None:
        """Put an inner node in the place of `leaf`, with two leaves below it. There must be room for one more."""
        parents, leaves = self._living(), self._numbers()
        new = next(number for number in range(self.capacity) if number not in leaves)
        taken = {*parents, *parents.values()}
        inner = next(number for number in range(self.capacity, 2 * self.capacity - 1) if number not in taken)
        if leaf in parents:
            parents[inner] = parents[leaf]
        parents[leaf] = parents[new] = inner
        self._place([leaf, new], centroids, weights)
        self._write(parents, [*leaves, new])

    def merges(self) -> Int64[Tensor, "merges 2"]:
        """The tree from its leaves up, one row for two nodes that are below one.

        The m leaves have the numbers 0 to m - 1 in their order here, and the node of row r has the number m + r.
        """
        parents = self._living()
        leaves = self._numbers()
        numbers = {leaf: number for number, leaf in enumerate(leaves)}
        below = self.below.sum(dim=1).cpu().tolist()
        rows: list[list[int]] = []
        for inner in sorted(set(parents.values()), key=lambda node: (below[node], node)):
            rows.append([numbers[node] for node in sorted(parents) if parents[node] == inner])
            numbers[inner] = len(leaves) + len(rows) - 1
        return torch.tensor(rows, dtype=torch.int64).view(-1, 2)

    def _numbers(self) -> list[int]:
        """The numbers of the leaves that there are."""
        found: list[int] = self.leaves.cpu().nonzero().flatten().tolist()
        return found

    def _living(self) -> dict[int, int]:
        """Child → parent, without dead leaves and the nodes above that had them: siblings stand in their places."""
        parents = {node: above for node, above in enumerate(self.parents.cpu().tolist()) if above != NONE}
        alive = self.alive.cpu().tolist()
        for leaf in range(self.capacity):
            if leaf in parents and not alive[leaf]:
                above = parents.pop(leaf)
                sibling = next(node for node, other in parents.items() if other == above)
                if above in parents:
                    parents[sibling] = parents.pop(above)
                else:
                    del parents[sibling]
        return parents

    def _place(self, leaves: list[int], centroids: Float[Tensor, "2 d"], weights: Float[Tensor, " 2"]) -> None:
        for place, leaf in enumerate(leaves):
            with torch.no_grad():
                self.centroids[leaf] = centroids[place].to(self.centroids)
            self.weights[leaf] = weights[place].to(self.weights)

    def _write(self, parents: dict[int, int], leaves: list[int]) -> None:
        """Take a tree of nodes that are all alive, in the tables' own memory: a captured step reads it there."""
        nodes = range(2 * self.capacity - 1)
        pairs: dict[int, list[int]] = {}
        for node, above in parents.items():
            pairs.setdefault(above, []).append(node)
        siblings = list(nodes)
        for first, second in pairs.values():
            siblings[first], siblings[second] = second, first
        below = torch.zeros(len(nodes), self.capacity, dtype=torch.bool)
        for leaf in leaves:
            node = leaf
            below[node, leaf] = True
            while (node := parents.get(node, NONE)) != NONE:
                below[node, leaf] = True
        self.parents.copy_(torch.tensor([parents.get(node, NONE) for node in nodes]))
        self.siblings.copy_(torch.tensor(siblings))
        self.below.copy_(below)
        self.alive.copy_(below.any(dim=1))
