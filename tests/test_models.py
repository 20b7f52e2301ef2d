"""Networks: shapes for every image size, DCEC's layers, normalisation, weights at the start."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from models.autoencoder import ImageShape, ModelError
from models.build import build_autoencoder, latent_size
from models.normalise import Normalise
from models.settings import (
    AutoencoderSettings,
    ConvLayer,
    ConvSettings,
    DenseSettings,
    PooledConvSettings,
    ViTSettings,
)

DCEC = ConvSettings(
    layers=(
        ConvLayer(channels=32, kernel=5),
        ConvLayer(channels=64, kernel=5),
        ConvLayer(channels=128, kernel=3, padding=0),
    ),
    hidden=(),
)


@pytest.mark.parametrize(
    "settings",
    [
        ConvSettings(),
        ConvSettings(hidden=(), output="sigmoid"),
        DenseSettings(hidden=(20,)),
        DenseSettings(hidden=()),
        DenseSettings(hidden=(20, 9), batch_norm=True, dropout=0.1, output="sigmoid"),
        PooledConvSettings(),
        PooledConvSettings(channels=(4, 5), kernel=5, output="sigmoid"),
        ViTSettings(width=16),
        ViTSettings(width=8, heads=2, patch=5, pool="mean", decoder_depth=0, output="sigmoid"),
    ],
)
@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (1, 16, 16), (1, 28, 28), (3, 32, 32), (1, 27, 41), (3, 50, 33), (3, 96, 96)]
)
def test_any_image_goes_in_and_comes_out(settings: AutoencoderSettings, shape: tuple[int, int, int]) -> None:
    autoencoder = build_autoencoder(settings, ImageShape(*shape))
    x = torch.randn(3, *shape)
    z = autoencoder.encode(x)
    assert z.shape == (3, latent_size(settings, ImageShape(*shape)))
    decoded = autoencoder.decode(z).detach()
    assert decoded.shape == x.shape
    assert settings.output == "linear" or 0 <= float(decoded.min()) <= float(decoded.max()) <= 1


@pytest.mark.parametrize("side", range(8, 34))
def test_the_decoder_returns_to_every_side(side: int) -> None:
    autoencoder = build_autoencoder(ConvSettings(latent=2), ImageShape(1, side, side + 1))
    assert autoencoder.decode(torch.zeros(1, 2)).shape == (1, 1, side, side + 1)


def test_the_dcec_network_layer_by_layer() -> None:
    autoencoder = build_autoencoder(DCEC, ImageShape(1, 28, 28))
    shapes = []
    x = torch.randn(1, 1, 28, 28)
    for layer in autoencoder.encoder.children():
        x = layer(x)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [(32, 14, 14), (64, 7, 7), (128, 3, 3), (10,)]
    # Weights and biases of the paper's figure 1, counted by hand; the decoder mirrors the encoder.
    encoder = (25 * 32 + 32) + (25 * 32 * 64 + 64) + (9 * 64 * 128 + 128) + (1152 * 10 + 10)
    decoder = (10 * 1152 + 1152) + (9 * 128 * 64 + 64) + (25 * 64 * 32 + 32) + (25 * 32 + 1)
    assert sum(p.numel() for p in autoencoder.parameters()) == encoder + decoder


def test_the_dense_network_of_dec_has_its_widths() -> None:
    autoencoder = build_autoencoder(DenseSettings(), ImageShape(1, 28, 28))
    widths = [m.out_features for m in autoencoder.encoder.children() if isinstance(m, nn.Linear)]
    assert widths == [500, 500, 2000, 10]
    widths = [m.out_features for m in autoencoder.decoder.children() if isinstance(m, nn.Linear)]
    assert widths == [2000, 500, 500, 784]


def test_the_dense_network_of_report_b_counts_its_weights() -> None:
    settings = DenseSettings(hidden=(128, 64), latent=32, output="sigmoid")
    autoencoder = build_autoencoder(settings, ImageShape(1, 28, 28))
    assert sum(p.numel() for p in autoencoder.parameters() if p.ndim == 2) == 221_184  # as the report has it
    kinds = [type(module).__name__ for module in autoencoder.decoder.children()]
    assert kinds == ["Linear", "ReLU", "Linear", "ReLU", "Linear", "Sigmoid", "Rearrange"]


def test_batch_norm_and_dropout_stand_between_hidden_layers_alone() -> None:
    settings = DenseSettings(hidden=(30, 20), latent=5, batch_norm=True, dropout=0.25)
    autoencoder = build_autoencoder(settings, ImageShape(1, 8, 8))
    block = ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
    kinds = [type(module).__name__ for module in autoencoder.encoder.children()]
    assert kinds == ["Rearrange", *block, *block, "Linear"]
    kinds = [type(module).__name__ for module in autoencoder.decoder.children()]
    assert kinds == [*block, *block, "Linear", "Rearrange"]
    assert {m.p for m in autoencoder.modules() if isinstance(m, nn.Dropout)} == {0.25}


@pytest.mark.parametrize("settings", [{}, {"batch_norm": True, "dropout": 0.5}])
def test_weights_before_a_relu_are_hes_and_the_others_glorots(settings: dict[str, object]) -> None:
    torch.manual_seed(0)
    made = DenseSettings.model_validate({"hidden": (400,), "latent": 100, **settings})
    autoencoder = build_autoencoder(made, ImageShape(1, 20, 20))
    spreads = [p.std().item() for p in autoencoder.parameters() if p.ndim == 2]
    he, glorot = math.sqrt(2 / 400), math.sqrt(2 / (400 + 100))
    he_back, glorot_back = math.sqrt(2 / 100), math.sqrt(2 / (400 + 400))
    assert spreads == pytest.approx([he, glorot, he_back, glorot_back], rel=0.03)


@pytest.mark.parametrize(
    "settings",
    [DenseSettings(hidden=(400,), init="uniform"), ConvSettings(init="uniform"), PooledConvSettings(init="uniform")],
)
def test_uniform_weights_and_biases_lie_within_one_over_the_root_of_fan_in(settings: AutoencoderSettings) -> None:
    torch.manual_seed(0)
    network = build_autoencoder(settings, ImageShape(1, 28, 28))
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert len(layers) >= 4
    for layer in layers:
        bound = 1 / math.sqrt(layer.weight[0].numel())
        assert 0.9 * bound < layer.weight.abs().max() <= bound
        assert layer.bias is not None
        assert 0 < layer.bias.abs().max() <= bound
        if layer.weight.numel() > 1000:
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize(("coder", "expected"), [("encoder", [1, 1, 1]), ("decoder", [1, 0.71, 0.5])])
def test_signals_keep_their_size_in_an_encoder_and_shrink_in_a_decoder(coder: str, expected: list[float]) -> None:
    """Root mean square after every ReLU beside that of what came in, edges and chance apart: outputs are looked at.

    A decoder's layers of stride 2 have twice as many inputs as outputs. An output sums in·k²/4 of them, half of the
    out·k² by which torch sets the weights: each layer leaves √(1/2) of the size.
    """
    torch.manual_seed(0)
    wide = tuple(ConvLayer(channels=channels, kernel=4) for channels in (48, 96, 192))
    network = build_autoencoder(ConvSettings(latent=300, layers=wide, hidden=()), ImageShape(1, 64, 64))
    x = torch.randn(4, 1, 64, 64) if coder == "encoder" else torch.randn(4, 300)
    sizes = []
    with torch.no_grad():
        for layer in network.get_submodule(coder).children():
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                sizes.append(
                    x[..., 2:-2, 2:-2].square().mean().sqrt().item() if x.ndim == 4 else x.square().mean().sqrt().item()
                )
    assert len(sizes) == 3
    assert sizes == pytest.approx(expected, abs=0.15)


def test_glorots_weights_are_uniform_and_biases_zero() -> None:
    torch.manual_seed(0)
    network = build_autoencoder(DenseSettings(hidden=(400,), init="glorot"), ImageShape(1, 28, 28))
    for layer in (m for m in network.modules() if isinstance(m, nn.Linear)):
        bound = math.sqrt(6 / (layer.in_features + layer.out_features))
        assert 0.98 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()


def test_default_networks_begin_as_they_always_did() -> None:
    """Published figures are of these first weights. The numbers are from before batch-norm and dropout came."""
    expected = {
        ConvSettings(): ([1.18489, -1.76806, -3.19165, -0.05435], 0.39352),
        DCEC: ([-1.70428, 3.01818, 1.13156, -0.81231], 0.27421),
        DenseSettings(): ([0.58941, 0.70702, 2.52569, -3.00981], 1.35751),
    }
    for settings, (z_expected, size) in expected.items():
        torch.manual_seed(0)
        autoencoder = build_autoencoder(settings, ImageShape(1, 28, 28))  # type: ignore[arg-type]
        z = autoencoder.encode(torch.randn(2, 1, 28, 28))
        assert z[0, :4].tolist() == pytest.approx(z_expected, abs=1e-3)
        assert autoencoder.decode(z).abs().mean().item() == pytest.approx(size, abs=1e-3)


def test_too_small_an_image_is_refused_with_the_layer() -> None:
    with pytest.raises(ModelError, match=r"4×4 pixels are too small.*layer 3 \(kernel 3, stride 2, padding 0\).*1×1"):
        build_autoencoder(DCEC, ImageShape(1, 4, 4))


def test_the_signal_keeps_its_size_at_the_start() -> None:
    torch.manual_seed(0)
    autoencoder = build_autoencoder(ConvSettings(), ImageShape(1, 28, 28))
    z = autoencoder.encode(torch.randn(500, 1, 28, 28))
    assert 0.2 < z.std().item() < 5


def test_normalise_takes_mean_and_sd_of_every_channel() -> None:
    images = torch.randint(0, 256, (50, 3, 5, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    normalise = Normalise(3)
    normalise.fit(images)
    x = normalise(images)
    assert torch.allclose(x.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(x.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-5)
    assert torch.equal(normalise.invert(x), images)
    assert not normalise.is_identity


def test_normalise_without_a_fit_keeps_pixels_from_0_to_1() -> None:
    images = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    assert Normalise(1)(images).flatten().tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert Normalise(1).is_identity


def test_normalise_of_constant_images_is_zero_not_nan() -> None:
    images = torch.full((4, 1, 8, 8), 77, dtype=torch.uint8)
    normalise = Normalise(1)
    normalise.fit(images)
    assert normalise(images).abs().max().item() < 1e-6


def test_invert_clips_to_the_pixels_there_are() -> None:
    x = torch.tensor([[[[-5.0, 5.0]]]])
    assert Normalise(1).invert(x).flatten().tolist() == [0, 255]
