"""One run of ClustPy, in an environment of its own: benchmarks/speed/beside_clustpy.py starts it.

    python -I benchmarks/speed/clustpy_peer.py dec points.npy outcome.npz

It imports nothing of this project, which is not installed there; -I keeps the files beside this one from being taken
for packages of the same name. The network is this project's dense one, the rest is ClustPy's as it ships. The outcome's
arrays: `own`, (n,), the method's own clusters; `final`, (n,), those that ClustPy gives as its answer, from a last
KMeans or mixture on the latents; `seconds` of `fit`, both assignments included; `threads`, and the versions as
`software`.
"""

from __future__ import annotations

import argparse
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from clustpy.deep import DEC, IDEC, DipDECK, VaDE
from clustpy.deep.neural_networks import FeedforwardAutoencoder
from clustpy.deep.vade import _VaDE_VAE  # the class that VaDE builds by itself, were it given no network

# By method: its class, its network's class, where its own clusters are, and what starts its clusters.
METHODS: dict[str, tuple[Any, Any, str, dict[str, Any]]] = {
    "dec": (DEC, FeedforwardAutoencoder, "dec_labels_", {"n_init": 20}),
    "idec": (IDEC, FeedforwardAutoencoder, "dec_labels_", {"n_init": 20}),
    "dipdeck": (DipDECK, FeedforwardAutoencoder, "labels_", {"n_init": 20}),
    "vade": (VaDE, _VaDE_VAE, "vade_labels_", {"n_init": 10, "covariance_type": "diag"}),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One run of ClustPy.")
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("points", help="(n, d) float32, an .npy file")
    parser.add_argument("outcome", help="the .npz file to write")
    parser.add_argument("--clusters", type=int, default=10, help="DipDECK: to begin with")
    parser.add_argument("--hidden", type=int, nargs="+", default=[500, 500, 2000])
    parser.add_argument("--latent", type=int, default=10)
    parser.add_argument(
        "--epochs", type=int, default=10, help="of pretraining, and again of clustering; DipDECK: after the last merge"
    )
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--pretrain-rate", type=float, default=1e-3)
    parser.add_argument("--cluster-rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Fit, and write the outcome."""
    chosen = arguments()
    method, network, own, start = METHODS[chosen.method]
    points = np.load(chosen.points)
    layers = [points.shape[1], *chosen.hidden, chosen.latent]
    model = method(
        **{"n_clusters_init" if chosen.method == "dipdeck" else "n_clusters": chosen.clusters},
        batch_size=chosen.batch,
        pretrain_epochs=chosen.epochs,
        clustering_epochs=chosen.epochs,
        pretrain_optimizer_params={"lr": chosen.pretrain_rate},
        clustering_optimizer_params={"lr": chosen.cluster_rate},
        neural_network=(network, {"layers": layers, "activation_fn": torch.nn.ReLU}),
        embedding_size=chosen.latent,
        initial_clustering_params=start,
        device="cpu",
        random_state=chosen.seed,
    )
    begin = time.perf_counter()
    model.fit(points)
    seconds = time.perf_counter() - begin
    np.savez(
        chosen.outcome,
        own=np.asarray(getattr(model, own), dtype=np.int64),
        final=np.asarray(model.labels_, dtype=np.int64),
        seconds=seconds,
        threads=torch.get_num_threads(),
        software=f"ClustPy {version('clustpy')}, torch {torch.__version__}",
    )


if __name__ == "__main__":
    main()
