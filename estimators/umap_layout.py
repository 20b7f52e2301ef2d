"""The layout of a neighbour graph by umap-learn, from an initialisation that does not fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float32, Float64
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError, eigsh
from threadpoolctl import threadpool_limits
from torch import Tensor

from estimators.base import RepresentationError
from estimators.neighbours import Neighbours
from estimators.pca import PCA
from estimators.settings import PCASettings, UMAPSettings
from system.cache import umap_library


def lay_out(
    points: Float32[Tensor, "n d"], neighbours: Neighbours, settings: UMAPSettings, seed: int
) -> Float32[Tensor, "n e"]:
    """Places of all points.

    Args:
        points: only for the initialisation of a graph in several parts.
        neighbours: of every point, itself first.
        settings: dimensions, minimum distance, epochs, and whether one thread lays out.
        seed: with `reproducible`, the same seed gives the same places.

    Raises:
        RepresentationError: when the layout diverges.
    """
    # Late, since it compiles much of itself, which takes seconds that other methods need not spend.
    try:
        library = umap_library()
    except OSError as error:
        raise RepresentationError(f"UMAP has no folder for what it compiles: {error}.") from error

    n, count = neighbours.indices.shape
    random = np.random.RandomState(seed)  # the library's type
    # As the library has it: the fewer points, the less an epoch costs, and the more of them it needs.
    epochs = settings.epochs or (500 if n <= 10_000 else 200)
    a, b = library.find_ab_params(1.0, settings.min_dist)
    with _numba_threads(1 if settings.reproducible else torch.get_num_threads()):
        graph, _, _ = library.fuzzy_simplicial_set(
            points.numpy(),
            count,
            random,
            "euclidean",
            knn_indices=neighbours.indices.numpy(),
            knn_dists=neighbours.distances.numpy(),
        )
        places, _ = library.simplicial_set_embedding(
            None,
            graph,
            settings.components,
            1.0,  # learning rate, repulsion and negative samples are the library's defaults
            a,
            b,
            1.0,
            5,
            epochs,
            initial_places(points, graph, settings.components, epochs, random),
            random,
            "euclidean",
            {},
            False,
            {},
            False,
            parallel=not settings.reproducible,
            tqdm_kwds={"disable": True},
        )
    if not np.isfinite(places).all():
        raise RepresentationError("the UMAP layout diverged to infinity; give more `neighbours` or another seed.")
    return torch.from_numpy(np.ascontiguousarray(places, dtype=np.float32))


def initial_places(
    points: Float32[Tensor, "n d"],
    graph: scipy.sparse.spmatrix,
    dimensions: int,
    epochs: int,
    random: np.random.RandomState,
) -> Float32[np.ndarray, "n e"]:
    """Where the layout begins: eigenvectors of the graph's Laplacian, or principal components.

    The eigenvectors say nothing within the parts of a graph that falls apart, and cannot be had of very few points, or
    of some graphs in reasonable time. Principal components serve as well (Kobak, Linderman, "Initialization is
    critical for preserving global data structure in both t-SNE and UMAP", Nature Biotechnology 2021). A little noise
    keeps points apart that would otherwise begin in one place.
    """
    # Edges too weak to be drawn once in all epochs play no part in the layout.
    edges = graph.tocsr(copy=True)
    edges.data[edges.data < edges.data.max() / epochs] = 0
    edges.eliminate_zeros()
    places = None
    if len(points) > 4 * (dimensions + 1) and connected_components(edges, directed=False)[0] == 1:
        places = _laplacian_eigenvectors(edges, dimensions, random)
    if places is None:
        places = _principal_components(points, dimensions)
    extent = np.abs(places).max()
    noise = random.normal(scale=1e-4, size=places.shape)
    return (10 / extent * places + noise if extent > 0 else noise).astype(np.float32)


def _laplacian_eigenvectors(
    edges: scipy.sparse.csr_matrix, dimensions: int, random: np.random.RandomState
) -> Float64[np.ndarray, "n e"] | None:
    """Eigenvectors 2 to e + 1 of the normalised Laplacian I − D^(−½) W D^(−½); None where they do not converge."""
    scale = scipy.sparse.diags(1 / np.sqrt(np.asarray(edges.sum(axis=0), dtype=np.float64).ravel()))
    count = dimensions + 1
    try:
        # More threads make this slower, and would make the rounding depend on their number.
        with threadpool_limits(1, "blas"):
            values, vectors = eigsh(
                scale @ edges @ scale,
                count,
                which="LA",
                ncv=3 * count,
                tol=1e-5,
                v0=random.normal(size=edges.shape[0]),
                maxiter=500,
                # It begins anew at random where it has found a whole invariant subspace.
                rng=np.random.default_rng(random.randint(2**31)),
            )
    except ArpackError:
        return None
    leading: Float64[np.ndarray, "n e"] = vectors[:, np.argsort(-values, kind="stable")[1:]]
    return leading


def _principal_components(points: Float32[Tensor, "n d"], dimensions: int) -> Float64[np.ndarray, "n e"]:
    """Coordinates along the principal components; 0 in dimensions beyond those that the points have."""
    kept = min(dimensions, *points.shape)
    pca = PCA(PCASettings(components=kept))
    pca.fit(points, seed=0)
    places = np.zeros((len(points), dimensions))
    places[:, :kept] = pca.transform(points).numpy()
    return places


@contextmanager
def _numba_threads(count: int) -> Iterator[None]:
    """Run numba's parallel loops on `count` threads, and leave torch's number as it was."""
    import numba

    of_torch = torch.get_num_threads()  # first: numba starts threads when it is asked for their number
    before = numba.get_num_threads()
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    try:
        yield
    finally:
        numba.set_num_threads(before)
        # numba starts its threads through the OpenMP that torch asks for its number.
        torch.set_num_threads(of_torch)
