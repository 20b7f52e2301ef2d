"""The loss of a network's own confident answers: cross-entropy in which every cluster counts alike.

Source: Van Gansbeke, Vandenhende, Georgoulis, Proesmans, Van Gool, "SCAN: Learning to Classify Images without Labels",
ECCV 2020, section 2.3, with the weights by inverse frequency of its authors' code.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from losses.precision import in_full_precision


@in_full_precision
def balanced_cross_entropy(
    log_q: Float[Tensor, "n k"], labels: Float[Tensor, "n k"], shares: Float[Tensor, " k"]
) -> Float[Tensor, ""]:
    """Mean of -log q over the labelled images, weighted by the inverse of how many share their label, in nats.

    With these weights it is the mean over clusters of each one's own mean. It is 0 where nothing is labelled.

    Args:
        log_q: log probabilities; the rows of q sum to 1.
        labels: one-hot rows, and rows of zeros for images without a label, which do not count.
        shares: the mean of `labels` over the batch. Of a part of a batch the loss is such that the mean over equal
            parts is that of the whole, given the shares of the whole.
    """
    present = shares > 0
    sums = -(labels * log_q).mean(dim=0) / shares.where(present, 1.0)  # (k,)
    return sums.sum() / present.sum().clamp_min(1)
