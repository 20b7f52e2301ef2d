"""What a reader of the TensorBoard page is told, and how curves are put together for them."""

from __future__ import annotations

WATCH_ONLY = "watch only, uses labels"
"""Heading of all that compares with labels. Nothing in training, stopping or model choice may look at it."""

SIZES = "cluster sizes"
PICTURES = "pictures"

GUIDE = f"""
### What to look at

* **Scalars: a loss by phase** (`pretrain/loss`, `cluster/loss`, …). It should fall and then flatten.
* **`changed`**: the share of images that changed their cluster since the last refresh. It should fall towards
  the `tol` of the config. If it stays high, the clusters do not settle.
* **{SIZES}**: `used` should stay at the number of clusters, and `smallest` well above 0. A cluster that dies,
  or one that takes most images, shows here and in the histogram of images by cluster.
* **{WATCH_ONLY}**: agreement of the clusters with the labels, at every refresh. The training never sees these
  numbers. Do not choose settings or a stopping point by them: without labels you could not.
* **Images**: originals above their reconstructions, decoded centroids, and ten members of every cluster.
  Grey mush in a reconstruction means that the latent space lost what tells images apart.
* **Projector**: the same images after every phase, so before and after joint training. Choose the phase at the
  top left, and colour by cluster or by class. Well-separated groups of mixed classes are a bad sign.

Steps are counted over all phases.
"""

# Tags are regular expressions here.
LAYOUT = {
    "Training": {
        "losses": ["Multiline", [r".+/(loss|reconstruction|clustering)$"]],
        "share of changed assignments": ["Multiline", [r".+/changed$"]],
        "learning rate": ["Multiline", [r".+/learning_rate$"]],
    },
    "Clusters": {"largest and smallest cluster": ["Multiline", [f"{SIZES}/largest", f"{SIZES}/smallest"]]},
    "Watch only (uses labels)": {"agreement with the classes": ["Multiline", [f"{WATCH_ONLY}/.+"]]},
}


def as_code(text: str) -> str:
    """`text` as a block of code in Markdown."""
    return "".join(f"    {line}\n" for line in text.splitlines())
