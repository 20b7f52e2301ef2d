"""DeepECT: its losses by hand, the tree that grows and is pruned, and runs of it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from data.sources import load
from engine.processes import launch
from losses.deepect import data_compression_loss, node_centre_loss, node_centres
from methods.base import TreeMethod
from methods.deepect import DeepECT
from models.autoencoder import ImageShape
from parts.cluster_tree import NONE, ClusterTree
from parts.tree_growth import widest
from tests.joint_runs import run, whole_and_resumed
from tests.small import small_config

IMAGES = load("digits").images[:120]


# The losses


def test_inner_centres_are_means_of_leaves_weighted_by_their_latents() -> None:
    below = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]]).bool()
    centroids = torch.tensor([[0.0, 2.0], [4.0, 2.0], [8.0, -6.0]])
    centres = node_centres(centroids, torch.tensor([1.0, 3.0, 4.0]), below)
    assert centres.tolist() == [[0, 2], [4, 2], [8, -6], [3, 2], [5.5, -2]]
    # As the paper has it, from the children of the root: (4 · (3, 2) + 4 · (8, -6)) / 8.
    assert node_centres(centroids, torch.zeros(3), below).tolist() == [[0, 0]] * 5


def test_the_centre_loss_is_the_mean_distance_to_the_batchs_means() -> None:
    centroids = torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]], requires_grad=True)
    z = torch.tensor([[2.0, 4.0], [4.0, 4.0], [1.0, 3.0]], requires_grad=True)
    loss = node_centre_loss(centroids, z, torch.tensor([0, 0, 1]), torch.tensor(3))
    assert loss.item() == pytest.approx((5 + 2 + 0) / 3)  # |(3, 4)|, |(0, 2)|, and a leaf without latents
    loss.backward()
    assert z.grad is None  # the network is not drawn to the centres by this loss
    assert centroids.grad is not None
    assert centroids.grad.flatten().tolist() == pytest.approx([-3 / 15, -4 / 15, 0, -1 / 3, 0, 0])


def test_a_centre_on_its_mean_stays() -> None:
    centroids = torch.ones(1, 2, requires_grad=True)
    node_centre_loss(centroids, torch.ones(4, 2), torch.zeros(4, dtype=torch.int64), torch.tensor(1)).backward()
    assert centroids.grad is not None
    assert centroids.grad.tolist() == [[0, 0]]


def test_latents_are_drawn_to_their_nodes_along_the_siblings_alone() -> None:
    # Siblings 0 and 1 lie along (3, 4) / 5; node 2 is their root, which has no sibling.
    centres = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.5, 2.0]], requires_grad=True)
    z = torch.tensor([[6.0, 8.0], [7.0, 1.0], [-4.0, 3.0]], requires_grad=True)
    inside = torch.tensor([[True, False, True], [True, False, True], [False, True, True]])
    nodes, siblings = torch.tensor([True, True, False]), torch.tensor([1, 0, 2])
    loss = data_compression_loss(z, inside, centres, siblings, nodes)
    # (3, 4) beyond centre 0: 5. (4, -3) from it is at right angles: 0, and so is (-4, 3) from centre 1.
    assert loss.item() == pytest.approx((5 + 0 + 0) / (2 * 3))
    loss.backward()
    assert centres.grad is None
    assert z.grad is not None
    assert z.grad[0].tolist() == pytest.approx([3 / 5 / 6, 4 / 5 / 6])


def test_every_node_above_a_latent_compresses_it() -> None:
    # A root over leaf 2 at 10 and a node at 1 over the leaves 0 and 1, at 0 and 2.
    centres = torch.tensor([[0.0], [2.0], [10.0], [1.0], [4.0]])
    siblings, nodes = torch.tensor([1, 0, 3, 2, 4]), torch.tensor([True, True, True, True, False])
    inside = torch.tensor([[True, False, False, True, True]])
    loss = data_compression_loss(torch.tensor([[0.5]]), inside, centres, siblings, nodes)
    assert loss.item() == pytest.approx((0.5 + 0.5) / (4 * 1))  # to the leaf at 0 and to the node at 1


def test_siblings_in_one_place_and_a_lone_root_compress_nothing() -> None:
    z, inside = torch.ones(2, 3, requires_grad=True), torch.tensor([[True, False]] * 2)
    same = data_compression_loss(z, inside, torch.zeros(2, 3), torch.tensor([1, 0]), torch.tensor([True, True]))
    alone = data_compression_loss(z, inside, torch.zeros(2, 3), torch.tensor([0, 1]), torch.tensor([False, False]))
    (same + alone).backward()
    assert same.item() == alone.item() == 0
    assert z.grad is not None
    assert bool(z.grad.isfinite().all())


# The tree


def pair(first: float, second: float) -> Tensor:
    return torch.tensor([[float(first)], [float(second)]])


def planted(leaves: int = 4, threshold: float = 0.1) -> ClusterTree:
    tree = ClusterTree(leaves, 1, threshold)
    tree.plant(pair(0, 10), torch.tensor([4.0, 4.0]))
    return tree


def grown() -> ClusterTree:
    """Leaf 0 at -1, leaf 1 at 9, leaf 2 at 1 beside leaf 0, leaf 3 at 11 beside leaf 1."""
    tree = planted()
    tree.split(0, pair(-1, 1), torch.tensor([2.0, 2.0]))
    tree.split(1, pair(9, 11), torch.tensor([2.0, 2.0]))
    return tree


def test_a_tree_begins_with_two_leaves_and_a_root() -> None:
    tree = planted()
    assert tree.leaves.tolist() == [True, True, False, False]
    assert tree.parents.tolist() == [4, 4, NONE, NONE, NONE, NONE, NONE]
    assert tree.alive.tolist() == [True, True, False, False, True, False, False]
    assert tree.merges().tolist() == [[0, 1]]
    assert tree.nearest(torch.tensor([[-3.0], [4.0], [6.0], [99.0]])).tolist() == [0, 0, 1, 1]  # free places are none


def test_a_split_puts_a_node_in_the_leafs_place() -> None:
    tree = planted()
    tree.split(0, pair(-1, 1), torch.tensor([3.0, 1.0]))
    assert tree.centroids.flatten().tolist() == [-1, 10, 1, 0]
    assert tree.parents.tolist() == [5, 4, 5, NONE, NONE, 4, NONE]
    assert tree.siblings.tolist() == [2, 5, 0, 3, 4, 1, 6]
    assert tree.paired.tolist() == [True, True, True, False, False, True, False]
    assert tree.merges().tolist() == [[0, 2], [1, 3]]
    assert tree.centres()[5].tolist() == [-0.5]  # (3 · -1 + 1 · 1) / 4
    inside = tree.inside(torch.tensor([2, 1]))
    assert inside.tolist() == [
        [False, False, True, False, True, True, False],
        [False, True, False, False, True, False, False],
    ]
    tree.split(2, pair(1, 3), torch.tensor([1.0, 1.0]))
    assert tree.merges().tolist() == [[2, 3], [0, 4], [1, 5]]


def test_weights_are_halved_at_every_step_and_a_leaf_without_latents_dies() -> None:
    tree = planted(threshold=0.3)
    for step in range(4):
        tree.count(torch.zeros(8, dtype=torch.int64))
        tree.age()
        assert float(tree.weights[0]) == 8 - 4 * 0.5 ** (step + 1)
        alive = 4 * 0.5 ** (step + 1) >= 0.3
        assert tree.leaves.tolist() == [True, alive, False, False]
    assert tree.weights[1] == 0
    assert tree.merges().shape == (0, 2)
    assert tree.nearest(torch.tensor([[10.0]])).tolist() == [0]
    assert not tree.paired.any()


def test_where_a_leaf_dies_its_sibling_takes_their_nodes_place() -> None:
    tree = grown()
    assert tree.merges().tolist() == [[0, 2], [1, 3], [4, 5]]
    for _ in range(8):
        tree.count(torch.tensor([0, 1, 3, 3]))
        tree.age()
    assert tree.leaves.tolist() == [True, True, False, True]
    assert tree.merges().tolist() == [[1, 2], [0, 3]]  # leaf 3 is the third that is left
    # Leaf 0 alone is what its node was: compared with the node of 1 and 3, and no more with leaf 2.
    assert tree.paired.tolist() == [False, True, False, True, False, True, True]
    assert tree.centres()[5].item() == pytest.approx(-1)
    tree.split(3, pair(10, 12), torch.tensor([1.0, 1.0]))  # in the place that is free again
    assert tree.merges().tolist() == [[2, 3], [1, 4], [0, 5]]
    assert tree.centroids.flatten().tolist() == [-1, 9, 12, 10]


def test_putting_the_nodes_in_order_after_a_death_changes_no_loss() -> None:
    tree = grown()
    for _ in range(8):
        tree.count(torch.tensor([0, 1, 1, 3]))
        tree.age()
    z = torch.tensor([[-2.5], [0.5], [8.0], [12.0]])

    def compression() -> float:
        inside = tree.inside(tree.nearest(z))
        return data_compression_loss(z, inside, tree.centres(), tree.siblings, tree.paired).item()

    before = compression()
    tree._write(tree._living(), tree._numbers())
    assert int(tree.alive.sum()) == 5  # three leaves and two nodes above
    assert compression() == pytest.approx(before)
    # By hand: root between the mean of 1 and 3, (2 · 9 + 11) / 3, and leaf 0; below it the leaves 1 and 3.
    mean = (2 * 9 + 1 * 11) / 3
    assert before == pytest.approx((1.5 + 1.5 + (mean - 8) + (12 - mean) + 1 + 1) / (4 * 4))


def test_a_whole_side_can_die_and_grow_again() -> None:
    tree = grown()
    for _ in range(8):
        tree.count(torch.tensor([1, 3]))
        tree.age()
    assert tree.merges().tolist() == [[0, 1]]
    tree.split(1, pair(8, 9), torch.tensor([1.0, 1.0]))
    tree.split(3, pair(10, 12), torch.tensor([1.0, 1.0]))
    assert tree.leaves.all()
    assert sorted(tree.centroids.flatten().tolist()) == [8, 9, 10, 12]
    assert len(tree.merges()) == 3


def test_the_widest_leaf_is_split_and_never_one_that_cannot_be() -> None:
    z = torch.tensor([[0.0], [1.0], [5.0], [5.0], [40.0]])
    labels = torch.tensor([0, 0, 1, 1, 2])
    assert widest(z, labels, torch.tensor([1.0, 1.0, 9.0, 9.0, 99.0]), 3) == 0  # one point, or points in one place
    assert widest(z, labels + 1, torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0]), 4) == 1
    assert widest(z[2:], labels[2:], torch.ones(3), 3) is None


# Runs


def built(*settings: str) -> DeepECT:
    config = small_config("deepect", settings=["cluster.batch_size=40", *settings])
    torch.manual_seed(0)
    return DeepECT(config, ImageShape(1, 8, 8))


def test_a_run_grows_a_tree_of_as_many_leaves() -> None:
    method = built("clusters=6", "cluster.max_epochs=1")
    state = run(method, IMAGES)
    assert isinstance(method, TreeMethod)
    assert method.clusters == 6
    assert method.tree().shape == (5, 2)
    assert sorted(method.tree().flatten().tolist()) == list(range(10))  # every node but the root is below one
    answer = method.assign(IMAGES).labels
    assert answer.bincount(minlength=6).min() > 0
    epochs = [row for row in state.history if row["phase"] == "cluster" and "loss" in row]
    assert len(epochs) == (6 - 2) + 1  # a leaf more before each but the first, and one to settle
    assert not [row for row in state.history if "notice" in row and "without images" in row["notice"]]


@pytest.mark.parametrize(("batch_size", "latents"), [(40, 40), (256, 120)])
def test_leaves_begin_with_their_share_of_a_batch(batch_size: int, latents: int) -> None:
    """Of all images, where a batch could hold more."""
    method = built(f"cluster.batch_size={batch_size}")
    phase = next(phase for phase in method.phases(IMAGES, launch(method.config.runtime)) if phase.name == "initialise")
    phase.fit()  # type: ignore[union-attr]
    assert float(method.leaves.weights.sum()) == pytest.approx(latents)


def test_the_largest_leaf_is_never_pruned() -> None:
    method = built("cluster.prune_below=100")  # of 40 latents a step
    run(method, IMAGES)
    assert method.clusters == 1
    assert not method.assign(IMAGES).labels.any()


def test_pruned_leaves_are_no_clusters_of_the_answer() -> None:
    method = built("cluster.prune_below=2")  # of 40 latents a step, so that small leaves die
    run(method, IMAGES)
    k = method.clusters
    assert 1 <= k < 5
    assert method.tree().shape == (k - 1, 2)
    assert method.centroid_positions().shape == (k, method.backbone.latent)
    assert 0 <= int(method.assign(IMAGES).labels.max()) < k


def test_resumed_it_ends_with_the_same_bits() -> None:
    # 3 steps an epoch; the pretraining has 6. Before the second split, between two steps after it, and at the end.
    whole_and_resumed(built, IMAGES, (8, 9, 13))


@pytest.mark.parametrize("settings", [(), ("cluster.augmentation.rotation=20",)])
def test_latents_come_nearer_to_their_leaves(settings: tuple[str, ...]) -> None:
    method = built("clusters=2", "cluster.max_epochs=30", "cluster.optimiser.learning_rate=0.01", *settings)
    state = run(method, IMAGES)
    losses = [row for row in state.history if row["phase"] == "cluster" and "loss" in row]
    assert losses[-1]["compression"] < 0.5 * losses[0]["compression"]
    assert all(math.isfinite(row["centre"]) for row in losses)
