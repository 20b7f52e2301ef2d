"""Spectral clustering: normalised cuts of the nearest-neighbour graph.

Sources: Shi, Malik, "Normalized Cuts and Image Segmentation", PAMI 2000, whose generalised eigenvectors are the
embedding here, as in scikit-learn (Ng, Jordan, Weiss 2001 would scale its rows to length 1); von Luxburg, "A Tutorial
on Spectral Clustering", 2007.
"""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from threadpoolctl import threadpool_limits
from torch import Tensor

from configs.schema import KMeansSettings
from estimators.base import ClusteringError, check_clusters
from estimators.extension import nearest
from estimators.kmeans import kmeans
from estimators.settings import SpectralSettings
from estimators.spectral_on_device import ROUNDS, leading_on_device
from estimators.transductive import Partition, TransductiveClusterer

DENSE = 1000  # up to so many points all eigenvectors are computed, which then is quicker and always works
RESTARTS = 1000  # of the search for eigenvectors, a few minutes among 60,000 points
MOST_EDGES = 30_000_000  # of the graph, about 1 GB


@final
class SpectralClusterer(TransductiveClusterer):
    """KMeans on the leading eigenvectors of the random walk on the nearest-neighbour graph.

    On a device neighbours, eigenvectors and KMeans are computed there. The graph is put together on the CPU.
    """

    on_device = True

    def __init__(self, settings: SpectralSettings) -> None:
        super().__init__("Spectral clustering", settings.subset)
        self.settings = settings

    def partition(self, points: Float[Tensor, "n d"], k: int, seed: int) -> Partition:
        check_clusters(self.title, points, k)
        affinity, neighbours = self._graph(points, k)
        embedding = torch.from_numpy(spectral_embedding(affinity, k, seed, points.device)).float().to(points.device)
        labels = kmeans(embedding, k, KMeansSettings(redos=self.settings.redos, iterations=300), seed).labels
        # KMeans leaves a cluster empty where fewer than k points differ.
        _, labels = torch.unique(labels, return_inverse=True)
        return Partition(labels, {"neighbours": torch.tensor(neighbours)})

    @property
    def findings(self) -> tuple[str, ...]:
        neighbours = int(self.arrays["neighbours"])
        if neighbours == self.settings.neighbours:
            return ()
        return (f"{neighbours} neighbours, for {self.settings.neighbours} left more parts than clusters",)

    def _graph(self, points: Float[Tensor, "n d"], k: int) -> tuple[csr_array, int]:
        """The graph and its number of neighbours: doubled while the graph has more than k parts, all cuts between
        which are equally good."""
        neighbours = self.settings.neighbours
        while True:
            affinity = neighbour_graph(points, min(neighbours, len(points)))
            parts = connected_components(affinity, directed=False)[0]
            if parts <= k:
                return affinity, neighbours
            if 2 * neighbours * len(points) > MOST_EDGES:
                raise ClusteringError(
                    f"{self.title}: the graph of {neighbours} neighbours falls into {parts} parts, more than k = {k}, "
                    "and a larger one does not fit in memory. Take more clusters, a smaller subset, or HDBSCAN, "
                    "which finds their number."
                )
            neighbours *= 2


def neighbour_graph(points: Float[Tensor, "n d"], neighbours: int) -> csr_array:
    """(A + Aᵀ) / 2, where A[i, j] = 1 if j is among the nearest `neighbours` of i, itself counted, and 0 on the
    diagonal."""
    n = len(points)
    _, found = nearest(points, points, neighbours)
    rows, columns = np.arange(n).repeat(neighbours), found.flatten().cpu().numpy()
    other = rows != columns
    directed = coo_array((np.ones(other.sum()), (rows[other], columns[other])), shape=(n, n)).tocsr()
    return csr_array((directed + directed.T) / 2)


def spectral_embedding(
    affinity: csr_array, count: int, seed: int, device: torch.device | None = None
) -> Float64[np.ndarray, "n {count}"]:
    """The `count` leading eigenvectors of the random walk D⁻¹A, of mean square 1 under the degrees D, in columns.

    Every connected part has an eigenvector of eigenvalue 1, constant on it. These are written down, since iterations
    cannot be trusted to find all of several equal eigenvalues; the rest is sought at right angles to them.

    Args:
        affinity: symmetric, at least 0, at most `count` connected parts.
        seed: of the iteration's start.
        device: that iterates; None: the CPU.
    """
    _, part = connected_components(affinity, directed=False)
    degree = np.asarray(affinity.sum(axis=1)).clip(min=np.finfo(float).tiny)
    root = np.sqrt(degree)
    constant = part_vectors(part, root)
    scale = diags_array(1 / root)
    symmetric = scale @ affinity @ scale  # D^-1/2 A D^-1/2 has the eigenvalues of D⁻¹A
    rest = leading(symmetric, constant, count - constant.shape[1], seed, device)
    vectors = np.concatenate([constant, rest], axis=1) / root[:, None]
    embedding: Float64[np.ndarray, "n {count}"] = vectors * np.sqrt(degree.sum())
    return embedding


def part_vectors(part: Int[np.ndarray, " n"], root: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n parts"]:
    """√D on every connected part, 0 elsewhere, of length 1."""
    vectors = np.zeros((len(part), part.max() + 1))
    vectors[np.arange(len(part)), part] = root
    normed: Float64[np.ndarray, "n parts"] = vectors / np.linalg.norm(vectors, axis=0)
    return normed


def leading(
    symmetric: csr_array,
    known: Float64[np.ndarray, "n parts"],
    count: int,
    seed: int,
    device: torch.device | None = None,
) -> Float64[np.ndarray, "n {count}"]:
    """The eigenvectors of the `count` largest eigenvalues, besides the `known` ones of eigenvalue 1."""
    n = symmetric.shape[0]
    if count == 0:
        return np.empty((n, 0))
    if n <= DENSE:
        # The known eigenvalues become -1, the least there can be.
        dense = symmetric.toarray() - 2 * known @ known.T
        vectors: Float64[np.ndarray, "n {count}"] = np.linalg.eigh(dense)[1][:, ::-1][:, :count]
        return vectors
    if device is not None and device.type != "cpu":
        there = leading_on_device(symmetric, known, count, seed, device)
        if there is None:
            raise _not_found(n, f"{ROUNDS:,} rounds")
        iterated: Float64[np.ndarray, "n {count}"] = there.cpu().numpy()
        return iterated
    return _by_arpack(symmetric, known, count, seed)


def _by_arpack(
    symmetric: csr_array, known: Float64[np.ndarray, "n parts"], count: int, seed: int
) -> Float64[np.ndarray, "n {count}"]:
    n = symmetric.shape[0]
    deflated = LinearOperator((n, n), matvec=lambda x: symmetric @ x - 2 * known @ (known.T @ x), dtype=np.float64)
    random = np.random.default_rng(seed)
    try:
        # Threads would change the rounding, and gain nothing on vectors of this length.
        with threadpool_limits(1, user_api="blas"):
            _, found = eigsh(
                deflated,
                count,
                which="LA",
                v0=random.standard_normal(n),
                ncv=min(max(4 * count, 40), n),
                maxiter=RESTARTS,
                tol=1e-6,
                rng=random,
            )
    except ArpackNoConvergence as error:
        raise _not_found(n, f"{RESTARTS:,} restarts") from error
    largest: Float64[np.ndarray, "n {count}"] = found[:, ::-1]
    return largest


def _not_found(n: int, spent: str) -> ClusteringError:
    return ClusteringError(
        f"Spectral clustering: the eigenvectors of the graph of {n:,} points were not found in {spent}: its "
        "parts hardly hang together. Take more neighbours or a smaller subset."
    )
