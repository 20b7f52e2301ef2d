"""Statistics of image sets, principal components and layers against numpy, scikit-learn and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from data.image_set import ImageSet
from methods.base import Assignments
from report import exploration
from report.exploration import (
    Groups,
    brightness,
    by_class,
    by_cluster,
    channel_names,
    draws,
    group_table,
    layer_table,
    mean_and_sd,
    mean_images,
    pixel_counts,
    set_table,
)
from report.figures.principal_components import Spectrum
from report.network_layers import Layer, layers_of

NAMES = ("shoe", "$bag$ [red]", "a name that is longer than any terminal is wide, and then some more of it, to be sure")


def images_of(n: int, channels: int = 3, seed: int = 0, height: int = 4, width: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, height, width), dtype=torch.uint8, generator=generator)


def labelled(n: int = 20, channels: int = 3) -> ImageSet:
    """Images of classes 0 and 2; class 1 has none."""
    return ImageSet("made", "test", images_of(n, channels), torch.arange(n) % 2 * 2, NAMES, origin="thin air")


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 30), channels=st.integers(1, 4), groups=st.integers(1, 5), at_once=st.integers(1, 500))
def test_pixel_counts_mean_and_sd_are_numpys(n: int, channels: int, groups: int, at_once: int) -> None:
    pixels, labels = images_of(n, channels, seed=n), torch.arange(n) % groups
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exploration, "VALUES_AT_ONCE", at_once)
        counts = pixel_counts(pixels, Groups("cluster", labels, ("",) * groups))
    for group in range(groups):
        for channel in range(channels):
            own = pixels[labels == group, channel].numpy()
            np.testing.assert_array_equal(counts[group, channel], np.bincount(own.ravel(), minlength=256))
            if own.size:
                assert mean_and_sd(counts[group, channel]) == pytest.approx(((own / 255).mean(), (own / 255).std()))


def test_a_constant_pixel_has_no_sd_and_no_pixel_has_no_mean() -> None:
    counts = torch.zeros(256, dtype=torch.int64)
    assert np.isnan(mean_and_sd(counts)).all()
    counts[51] = 7
    assert mean_and_sd(counts) == (pytest.approx(0.2), 0)


def test_brightness_is_the_mean_pixel() -> None:
    pixels = images_of(7)
    np.testing.assert_allclose(brightness(pixels), pixels.numpy().reshape(7, -1).mean(1) / 255, rtol=1e-12)


def test_mean_images_are_numpys_and_none_for_an_empty_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploration, "VALUES_AT_ONCE", 100)
    images = labelled()
    means = mean_images(images.images, by_class(images))
    for group in (0, 2):
        own = images.images[images.labels == group].numpy()
        np.testing.assert_allclose(means[group], own.mean(0) / 255, rtol=1e-6)
    assert means[1].isnan().all()


def test_images_without_labels_are_one_group() -> None:
    groups = by_class(ImageSet("made", "test", images_of(5)))
    assert (groups.kind, len(groups), groups.sizes.tolist()) == ("set", 1, [5])


def test_empty_clusters_are_groups_too() -> None:
    groups = by_cluster(Assignments(torch.tensor([3, 1, 1])), 5)
    assert groups.names[4] == "cluster 4"
    assert groups.sizes.tolist() == [0, 2, 0, 1, 0]


def test_draws_are_members_and_leave_the_global_generator_alone() -> None:
    groups = Groups("class", torch.tensor([0] * 50 + [1] * 3 + [3] * 20), ("a", "b", "c", "d"))
    torch.manual_seed(7)
    before = torch.get_rng_state()
    drawn = draws(groups, 10)
    assert torch.equal(torch.get_rng_state(), before)
    assert [len(set(positions.tolist())) for positions in drawn] == [10, 3, 0, 10]
    for group, positions in enumerate(drawn):
        assert (groups.labels[positions] == group).all()
    assert drawn[0].tolist() != list(range(10))
    assert all(torch.equal(a, b) for a, b in zip(drawn, draws(groups, 10), strict=True))


def test_components_are_counted_until_they_reach_the_share() -> None:
    found = Spectrum(torch.tensor([0.5, 0.3, 0.1, 0.1, 0.0]).double(), torch.zeros(1, 1, 1, 1), 9)
    assert [found.needed(share) for share in (0.4, 0.5, 0.51, 0.8, 0.9, 1.0)] == [1, 1, 2, 2, 3, 4]


def test_layers_by_hand() -> None:
    """Report B's dense autoencoder: 784-128-64-32 and back, ReLU, a sigmoid at the end."""
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 32)
    )
    decoder = nn.Sequential(
        nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 784), nn.Sigmoid(),
        nn.Unflatten(1, (1, 28, 28)),
    )  # fmt: skip
    assert layers_of({"encoder": encoder, "decoder": decoder}, (1, 28, 28)) == [
        Layer("encoder", "Flatten", (784,), 0),
        Layer("encoder", "Linear + ReLU", (128,), 784 * 128 + 128),
        Layer("encoder", "Linear + ReLU", (64,), 128 * 64 + 64),
        Layer("encoder", "Linear", (32,), 64 * 32 + 32),
        Layer("decoder", "Linear + ReLU", (64,), 32 * 64 + 64),
        Layer("decoder", "Linear + ReLU", (128,), 64 * 128 + 128),
        Layer("decoder", "Linear + Sigmoid", (784,), 128 * 784 + 784),
        Layer("decoder", "Unflatten", (1, 28, 28), 0),
    ]


def test_layers_of_convolutions_say_kernel_and_stride() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout(), nn.MaxPool2d(2),
        nn.ConvTranspose2d(8, 2, (2, 4), stride=(2, 4), bias=False),
    )  # fmt: skip
    assert layers_of({"all": network}, (3, 6, 4)) == [
        Layer("all", "Conv2d 3×3", (8, 6, 4), 3 * 8 * 9 + 8),
        Layer("all", "BatchNorm2d + Dropout", (8, 6, 4), 16),
        Layer("all", "MaxPool2d", (8, 3, 2), 0),
        Layer("all", "ConvTranspose2d 2×4, stride 2×4", (2, 6, 8), 8 * 2 * 8),
    ]


def test_the_decoder_of_a_variational_encoder_receives_the_mean() -> None:
    encoder, decoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 6)), nn.Sequential(nn.Linear(3, 16))
    layers = layers_of({"encoder": encoder, "decoder": decoder}, (1, 4, 4))
    assert [layer.output for layer in layers] == [(16,), (6,), (16,)]


def test_a_network_is_left_as_it_was() -> None:
    inner = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout())
    network = nn.Sequential(inner, nn.BatchNorm2d(1))
    inner.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    layers_of({"all": network}, (1, 4, 4))
    assert [network.training, inner.training, inner[0].training, network[1].training] == [True, False, False, True]
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not network[1]._forward_hooks


def test_a_shared_weight_counts_once_and_a_containers_own_counts() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.scale = nn.Parameter(torch.ones(4))

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(self.linear(x)) * self.scale

    layers = layers_of({"all": nn.Sequential(nn.Flatten(), Scaled())}, (1, 2, 2))
    assert sum(layer.parameters for layer in layers) == 16 + 4 + 4


def test_the_table_of_a_set_says_what_it_holds() -> None:
    images = labelled()
    counts = pixel_counts(images.images, by_class(images))
    text = set_table(images, counts, duplicates=1234)
    values = images.images.numpy() / 255
    assert "made (test)" in text
    assert "4×5 pixels (height × width)" in text
    assert "3 (red, green, blue)" in text
    assert f"mean {values.mean():.4f}, sd {values.std():.4f}" in text
    assert f"green         mean {values[:, 1].mean():.4f}, sd {values[:, 1].std():.4f}" in text
    assert "1,234 equal to an earlier image" in text
    assert "thin air" in text


def test_the_table_of_groups_has_a_row_each_and_fits_the_terminal() -> None:
    images = labelled()
    groups = by_class(images)
    lines = group_table(groups, pixel_counts(images.images, groups)).splitlines()
    assert max(len(line) for line in lines) <= 80
    shoes = images.images[images.labels == 0].numpy() / 255
    assert lines[3].split() == ["shoe", "10", "50.0", "%", f"{shoes.mean():.3f}", f"{shoes.std():.3f}"]
    assert lines[4].split() == ["$bag$", "[red]", "0", "0.0", "%", "–", "–"]
    assert "…" in lines[5]


def test_the_table_of_layers_ends_with_their_sum() -> None:
    layers = [
        Layer("encoder", "Conv2d 3×3 + " + " + ".join(["Dropout"] * 12), (32, 14, 14), 1000),
        Layer("encoder", "Linear", (10,), 2500),
        Layer("decoder", "Linear", (1024,), 20),
    ]
    lines = layer_table(layers).splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[-1].split() == ["all", "3,520"]
    assert "32×14×14" in lines[3]
    assert [line for line in lines if line.startswith("encoder")] == [lines[3]]
    assert any(line.startswith("decoder") and "1,024" in line for line in lines)


def test_channels_have_the_names_of_colours() -> None:
    assert [channel_names(n) for n in (1, 2)] == [("grey",), ("0", "1")]
    assert channel_names(4) == ("red", "green", "blue", "alpha")
