"""Attention rollout and the maps that are drawn from it."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from data.image_set import ImageSet
from evaluation.predictions import Predictions
from methods.base import Assignments
from models.attention import attention_maps, has_attention, rollout
from models.autoencoder import ImageShape
from models.build import build_encoder
from models.settings import ConvSettings, ViTSettings
from models.vit import Block, cut
from report.figures.attention import PAIRS, attention, enlarged, overlaid

TINY = ViTSettings(latent=3, width=8, depth=3, heads=2)
POOLS = [TINY, TINY.model_copy(update={"pool": "mean"})]


def random_attention(layers: int, tokens: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.softmax(2 * torch.randn(4, tokens, tokens), dim=2) for _ in range(layers)]


def test_rollout_of_layers_that_keep_every_token_keeps_every_token() -> None:
    assert torch.equal(rollout([torch.eye(5).expand(2, 5, 5)] * 3), torch.eye(5).expand(2, 5, 5))


def test_rollout_by_hand() -> None:
    first = torch.tensor([[[0.5, 0.5], [0.0, 1.0]]])  # with what passes by: [[3/4, 1/4], [0, 1]]
    second = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])  # [[1/2, 1/2], [1/2, 1/2]]
    assert rollout([first, second])[0].tolist() == [[0.375, 0.625], [0.375, 0.625]]
    assert rollout([second, first])[0].tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_rollout_is_the_product_of_the_layers_the_last_on_the_left() -> None:
    layers = random_attention(4, 6)
    for image in range(4):
        product = np.linalg.multi_dot([(layer[image].numpy() + np.eye(6)) / 2 for layer in layers[::-1]])
        np.testing.assert_allclose(rollout(layers)[image].numpy(), product, atol=1e-6)
    assert torch.allclose(rollout(layers).sum(dim=2), torch.ones(4, 6))


def test_the_weights_are_those_that_the_layer_computes_with() -> None:
    torch.manual_seed(0)
    block = Block(8, 1, 16, "glorot")
    x = torch.randn(3, 5, 8)
    weights = block.weights(x)
    values = functional.linear(block.attention_norm(x), block.attention.in_proj_weight[16:])
    attended = x + block.attention.out_proj(weights @ values)
    assert torch.allclose(block(x), attended + block.mlp(block.mlp_norm(attended)), atol=1e-6)
    assert torch.allclose(weights.sum(dim=2), torch.ones(3, 5))


@pytest.mark.parametrize("settings", POOLS, ids=["class", "mean"])
def test_maps_sum_to_one_and_differ_between_images(settings: ViTSettings) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(settings, ImageShape(3, 12, 8))
    maps = attention_maps(encoder, 3 * torch.randn(5, 3, 12, 8)).detach()
    assert maps.shape == (5, 6, 4)
    assert (maps > 0).all()
    assert torch.allclose(maps.sum(dim=(1, 2)), torch.ones(5))
    assert maps.std(dim=0).max() > 1e-4


@pytest.mark.parametrize("settings", POOLS, ids=["class", "mean"])
def test_who_asks_nothing_looks_at_all_patches_alike(settings: ViTSettings) -> None:
    encoder = build_encoder(settings, ImageShape(1, 8, 8))
    for block in blocks(encoder):
        block.attention.in_proj_weight.data[:8] = 0  # of the queries
    maps = attention_maps(encoder, torch.randn(2, 1, 8, 8))
    assert torch.allclose(maps, torch.full((2, 4, 4), 1 / 16))


def test_a_map_shows_the_patch_that_the_class_token_attends_to() -> None:
    """One layer, in which all tokens ask for what the patch in the second row and third column has in its key."""
    encoder = build_encoder(TINY.model_copy(update={"depth": 1, "heads": 1}), ImageShape(1, 8, 8))
    (block,) = blocks(encoder)
    x = torch.randn(1, 1, 8, 8)
    with torch.no_grad():
        tokens = x
        for layer in encoder:
            if layer is block:
                break
            tokens = layer(tokens)
        wanted = block.attention_norm(tokens)[0, 1 + 1 * 4 + 2]
        block.attention.in_proj_weight[:8] = 0
        block.attention.in_proj_bias[:8] = 20 * wanted
        block.attention.in_proj_weight[8:16] = torch.eye(8)
        assert attention_maps(encoder, x).flatten().argmax() == 1 * 4 + 2


def test_networks_without_attention_say_so() -> None:
    assert has_attention(build_encoder(TINY, ImageShape(1, 8, 8)))
    assert not has_attention(build_encoder(ConvSettings(), ImageShape(1, 8, 8)))


def blocks(encoder: nn.Module) -> list[Block]:
    return [layer for layer in encoder.children() if isinstance(layer, Block)]


@pytest.mark.parametrize("patch", [None, 2, 5, 7])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (28, 28), (27, 41), (50, 33), (17, 64)])
def test_a_pixel_has_the_share_of_the_patch_that_it_was_cut_into(patch: int | None, height: int, width: int) -> None:
    side, rows, columns = cut(patch, ImageShape(1, height, width))
    maps = torch.arange(float(rows * columns)).view(1, rows, columns)
    pixels = enlarged(maps, height, width)
    expected = [[(y // side) * columns + x // side for x in range(width)] for y in range(height)]
    assert pixels[0].tolist() == expected


def test_the_map_lies_on_the_grey_picture_brightest_where_the_share_is_largest() -> None:
    images = torch.tensor([[[100, 200]], [[200, 100]], [[0, 0]]], dtype=torch.uint8).view(1, 3, 1, 2)
    maps = torch.tensor([[[0.2, 0.8]]])
    shown = overlaid(images, maps)
    colours = matplotlib.colormaps["inferno"](np.array([0.25, 1.0]))[:, :3]
    expected = np.round(0.65 * 255 * colours + 0.35 * 100)  # the mean of the three channels
    assert shown.shape == (1, 3, 1, 2)
    np.testing.assert_allclose(shown[0, :, 0].T.numpy(), expected, atol=1)


def predictions(attention: torch.Tensor | None) -> Predictions:
    """Ten black images, six of them in cluster 0, the others in cluster 2; the first of each is the most typical."""
    labels = torch.tensor([0] * 6 + [2] * 4)
    embedding = torch.cat([torch.arange(6.0), 10 + torch.arange(4.0)]).unsqueeze(1)
    centroids = torch.tensor([[0.0], [5.0], [10.0]])
    images = torch.zeros(10, 1, 16, 16, dtype=torch.uint8)
    return Predictions(
        ImageSet("made", "test", images), embedding, Assignments(labels), 3, "latent", centroids, attention=attention
    )


def test_every_image_stands_beside_its_own_map() -> None:
    """One cluster is empty, and one has fewer images than have room."""
    maps = torch.full((10, 4, 4), 1e-6)
    for image in range(10):
        maps[image, image // 4, image % 4] = 1.0  # another patch in every image
    figure = attention(predictions(maps))
    assert figure is not None
    shown = figure.axes[0].images[0].get_array()
    step = 16 + 1
    assert shown.shape == (1 + 3 * step, 1 + 2 * PAIRS * step, 3)

    def tile(row: int, column: int) -> np.ndarray:
        return np.asarray(shown[1 + row * step : row * step + 17, 1 + column * step : column * step + 17])

    for row, members in ((0, range(6)), (2, range(6, 10))):
        for place, image in enumerate(members):
            assert not tile(row, 2 * place).any()
            bright = tile(row, 2 * place + 1).sum(axis=2)
            y, x = np.unravel_index(bright.argmax(), bright.shape)
            assert (y // 4, x // 4) == (image // 4, image % 4)
    for row, column in ((1, 0), (1, 1), (2, 8), (2, 11)):
        assert (tile(row, column) == 255).all()
    assert attention(predictions(None)) is None
