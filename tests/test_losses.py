"""Losses against numbers worked out by hand, by float64 loops, and by finite differences."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from losses.dec import cluster_frequencies, clustering_kl, log_soft_assignment, soft_assignment, target_distribution
from losses.reconstruction import reconstruction_mse


def test_soft_assignment_by_hand() -> None:
    # One point at 0; centroids at distance 1 and 3: kernels 1/(1+1) and 1/(1+9).
    q = soft_assignment(torch.tensor([[0.0]]), torch.tensor([[1.0], [3.0]]))
    assert q.tolist() == [pytest.approx([(1 / 2) / (1 / 2 + 1 / 10), (1 / 10) / (1 / 2 + 1 / 10)])]


def test_soft_assignment_with_other_degrees_of_freedom_by_hand() -> None:
    # alpha = 3: (1 + 4/3)^-2 and (1 + 0)^-2.
    q = soft_assignment(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0], [2.0, 0.0]]), alpha=3.0)
    near, far = 1.0, (1 + 4 / 3) ** -2
    assert q.tolist() == [pytest.approx([far / (near + far), near / (near + far)])]


def test_soft_assignment_of_far_latents_is_no_zero_over_zero() -> None:
    q = soft_assignment(torch.tensor([[1e18, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    assert q.sum().item() == pytest.approx(1)
    assert bool(q.isfinite().all())


def test_soft_assignment_keeps_digits_far_from_the_origin() -> None:
    z, centroids = torch.randn(20, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    here = soft_assignment(z, centroids)
    there = soft_assignment((z + 1000).float(), (centroids + 1000).float())
    assert torch.allclose(here, there.double(), atol=1e-3)


def test_target_distribution_two_by_two_by_hand() -> None:
    q = torch.tensor([[0.8, 0.2], [0.4, 0.6]])
    # f = (1.2, 0.8); weights .64/1.2, .04/.8 and .16/1.2, .36/.8
    first = [0.64 / 1.2, 0.04 / 0.8]
    second = [0.16 / 1.2, 0.36 / 0.8]
    p = target_distribution(q)
    assert p[0].tolist() == pytest.approx([w / sum(first) for w in first])
    assert p[1].tolist() == pytest.approx([w / sum(second) for w in second])


def test_target_uses_the_frequencies_of_the_whole_set() -> None:
    q = torch.rand(100, 5, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    whole = target_distribution(q)
    f = cluster_frequencies(q)
    assert torch.equal(target_distribution(q[:10], f), whole[:10])
    per_batch = target_distribution(q[:10])
    assert not torch.allclose(per_batch, whole[:10], atol=1e-3)


def test_target_of_an_empty_cluster_is_zero() -> None:
    p = target_distribution(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert p.tolist() == [[1.0, 0.0], [1.0, 0.0]]


@given(n=st.integers(1, 20), k=st.integers(2, 6), seed=st.integers(0, 99))
def test_target_rows_sum_to_one_and_sharpen_balanced_q(n: int, k: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    q = torch.rand(n, k, generator=generator, dtype=torch.float64).softmax(dim=1)
    # All cyclic shifts of every row: the frequencies are equal, so p only sharpens.
    balanced = torch.cat([q.roll(shift, dims=1) for shift in range(k)])
    p = target_distribution(balanced)
    assert torch.allclose(p.sum(dim=1), torch.ones(n * k, dtype=torch.float64))
    assert torch.allclose(p, balanced.square() / balanced.square().sum(dim=1, keepdim=True))
    assert bool((p.max(dim=1).values >= balanced.max(dim=1).values - 1e-12).all())


def test_clustering_kl_by_hand() -> None:
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    q = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    first = 1.0 * math.log(1.0 / 0.5)
    second = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert clustering_kl(p, q.log()).item() == pytest.approx((first + second) / 2)


def test_a_cluster_too_unlikely_for_a_float_still_has_its_gradient() -> None:
    """By logits l the derivative is q - p, wherever they are; e^-200 is 0 in float32."""
    logits = torch.tensor([[200.0, 0.0, 190.0]], requires_grad=True)
    p = torch.tensor([[0.2, 0.8, 0.0]])
    loss = clustering_kl(p, logits.log_softmax(dim=1))
    loss.backward()
    near = math.exp(-10) / (1 + math.exp(-10))
    assert loss.item() == pytest.approx(0.2 * math.log(0.2) + 0.8 * math.log(0.8) + 0.8 * 200 - math.log(1 - near))
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([1 - near - 0.2, -0.8, near], abs=1e-6)


def test_log_of_the_soft_assignment_is_finite_where_the_assignment_is_zero() -> None:
    """alpha = 60: (1 + 10^2 / 60)^-30.5 beside (1 + 1e4^2 / 60)^-30.5, whose quotient is e^-407."""
    z, centroids = torch.tensor([[0.0]]), torch.tensor([[10.0], [1e4]])
    assert soft_assignment(z, centroids, 60.0)[0, 1] == 0
    expected = -30.5 * (math.log1p(1e8 / 60) - math.log1p(100 / 60))
    assert log_soft_assignment(z, centroids, 60.0)[0].tolist() == pytest.approx([0.0, expected])


def test_descent_reaches_a_cluster_that_began_out_of_sight() -> None:
    """A latent whose target is a centroid so far off that its q is 0: it is drawn there all the same."""
    centroids = torch.tensor([[0.0], [1e3]])
    z = torch.tensor([[1.0]])
    losses = []
    for _ in range(50):
        z.requires_grad_()
        loss = clustering_kl(torch.tensor([[0.0, 1.0]]), log_soft_assignment(z, centroids, 60.0))
        z = z.detach() - 20 * torch.autograd.grad(loss, z)[0].sign()
        losses.append(loss.item())
    assert losses[0] > 200  # e^-200 is 0 in float32
    assert losses[-1] < 1e-3


HELD_BY_HAND = {
    "losses/scan.py": 1,  # in x log x, whose gradient by logits ends at 0 with x
    "losses/temi.py": 1,  # of the cluster sizes, which are a moving average without gradients
    "models/pretrained_input.py": 1,  # of pixels, below which nothing is trained
    "losses/dec.py": 1,  # in the target, which is held fixed
    "losses/deepect.py": 4,  # of counts, weights and lengths, which are held fixed
    "losses/self_labelling.py": 1,  # of a count
    "models/held_within.py": 1,  # with a gradient of its own
    "models/mixture_prior.py": 2,  # after a step, without gradients
    "models/normalise.py": 1,  # to bytes
    "models/oriented_gradients.py": 3,  # of pixels, below which nothing is trained
    "models/projection.py": 1,  # a counter
}
"""How many clamps there are, and why each has no gradient to lose."""


def test_no_clamp_stands_between_a_loss_and_what_it_trains() -> None:
    """Outside its bounds a clamp has no gradient: what is there stays there. models.held_within has one."""
    found: dict[str, int] = {}
    root = Path(__file__).resolve().parent.parent
    for file in sorted([*(root / "losses").glob("*.py"), *(root / "models").glob("*.py")]):
        calls = [
            node.func.attr
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        ]
        clamps = [name for name in calls if name.startswith(("clamp", "clip", "hardtanh", "maximum", "relu6"))]
        if clamps:
            found[file.relative_to(root).as_posix()] = len(clamps)
    assert found == HELD_BY_HAND


def test_gradient_of_the_clustering_loss_is_the_papers() -> None:
    """Eq. 4 at alpha 1: 2 * sum_j (1 + |z - mu_j|^2)^-1 (p - q)(z - mu_j), divided by n as the mean is."""
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(6, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    centroids = torch.randn(4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    p = torch.rand(6, 4, generator=generator, dtype=torch.float64).softmax(dim=1)
    clustering_kl(p, log_soft_assignment(z, centroids)).backward()

    expected = torch.zeros(6, 3, dtype=torch.float64)
    q = soft_assignment(z, centroids).detach()
    for i in range(6):
        for j in range(4):
            difference = z[i].detach() - centroids[j].detach()
            expected[i] += 2 / (1 + difference @ difference) * (p[i, j] - q[i, j]) * difference
    assert z.grad is not None
    assert torch.allclose(z.grad, expected / 6)
    assert torch.autograd.gradcheck(lambda a, b: clustering_kl(p, log_soft_assignment(a, b)), (z, centroids))


def test_reconstruction_mse_is_a_mean_over_images_and_pixels() -> None:
    reconstruction = torch.tensor([[[[1.0, 2.0]]], [[[0.0, 0.0]]]])
    target = torch.tensor([[[[0.0, 0.0]]], [[[3.0, 0.0]]]])
    assert reconstruction_mse(reconstruction, target).item() == pytest.approx((1 + 4 + 9 + 0) / 4)
