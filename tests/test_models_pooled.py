"""The network with pooling, batch-norm and dropout: its layers and parameters, any image size, DEC on top of it."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from methods.dec import DEC
from models.autoencoder import ImageShape, ModelError
from models.build import build_autoencoder, build_vae, latent_size
from models.settings import PooledConvSettings
from tests.test_dec import bars, config, run

FASHION = ImageShape(1, 28, 28)


def feature_maps(network: nn.Module, x: torch.Tensor) -> list[tuple[int, ...]]:
    """The shapes that come out of the convolutions."""
    shapes = []
    for layer in network.children():
        x = layer(x)
        if isinstance(layer, nn.Conv2d):
            shapes.append(tuple(x.shape[1:]))
    return shapes


def test_the_network_of_report_e_layer_by_layer() -> None:
    autoencoder = build_autoencoder(PooledConvSettings(), FASHION)
    x = torch.randn(2, 1, 28, 28)
    assert feature_maps(autoencoder.encoder, x) == [(32, 28, 28), (16, 14, 14), (16, 7, 7)]
    assert feature_maps(autoencoder.decoder, autoencoder.encode(x)) == [(32, 14, 14), (1, 28, 28)]
    assert latent_size(PooledConvSettings(), FASHION) == 784 == autoencoder.encode(x).shape[1]


def test_the_network_of_report_e_has_12577_parameters_as_keras_counts() -> None:
    autoencoder = build_autoencoder(PooledConvSettings(), FASHION)
    convolutions = [m for m in autoencoder.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in autoencoder.modules() if isinstance(m, nn.BatchNorm2d)]
    assert sum(p.numel() for m in convolutions for p in m.parameters()) == 12_193
    trained = sum(p.numel() for m in norms for p in m.parameters())
    running = sum(m.get_buffer(f"running_{name}").numel() for m in norms for name in ("mean", "var"))
    assert (trained, running) == (192, 192)
    # Nothing else has weights.
    assert sum(p.numel() for p in autoencoder.parameters()) + running == 12_577


def test_every_convolution_but_the_last_is_followed_by_batch_norm_relu_and_dropout() -> None:
    autoencoder = build_autoencoder(PooledConvSettings(dropout=0.3), FASHION)
    block = ["Conv2d", "BatchNorm2d", "ReLU", "Dropout"]
    kinds = [type(module).__name__ for module in autoencoder.encoder.children()]
    assert kinds == [*block, "MaxPool2d", *block, "MaxPool2d", *block, "Rearrange"]
    kinds = [type(module).__name__ for module in autoencoder.decoder.children()]
    assert kinds == ["Rearrange", "Upsample", *block, "Upsample", "Conv2d"]
    assert {m.p for m in autoencoder.modules() if isinstance(m, nn.Dropout)} == {0.3}


def test_more_levels_are_mirrored() -> None:
    autoencoder = build_autoencoder(PooledConvSettings(channels=(3, 4, 5, 6)), ImageShape(2, 17, 8))
    x = torch.randn(2, 2, 17, 8)
    assert feature_maps(autoencoder.encoder, x) == [(3, 17, 8), (4, 8, 4), (5, 4, 2), (6, 2, 1)]
    assert feature_maps(autoencoder.decoder, autoencoder.encode(x)) == [(4, 4, 2), (3, 8, 4), (2, 17, 8)]


@pytest.mark.parametrize("side", range(4, 13))
def test_the_decoder_returns_to_every_side(side: int) -> None:
    shape = ImageShape(3, side, side + 1)
    autoencoder = build_autoencoder(PooledConvSettings(), shape)
    x = torch.randn(2, *shape)
    z = autoencoder.encode(x)
    assert z.shape[1] == latent_size(PooledConvSettings(), shape) == 16 * (side // 4) * ((side + 1) // 4)
    assert autoencoder.decode(z).shape == x.shape


def test_too_small_an_image_is_refused() -> None:
    for built in (build_autoencoder, latent_size):
        with pytest.raises(ModelError, match=r"images of 3×28 pixels are too small.*2 poolings need 4×4"):
            built(PooledConvSettings(), ImageShape(1, 3, 28))


def test_settings_that_make_no_network_are_refused() -> None:
    with pytest.raises(ValidationError, match="odd side; received 4"):
        PooledConvSettings(kernel=4)
    with pytest.raises(ValidationError, match="at least 2 items"):
        PooledConvSettings(channels=(8,))
    with pytest.raises(ValidationError, match="less than 1"):
        PooledConvSettings(dropout=1.0)
    with pytest.raises(ModelError, match=r"one feature map of 784 numbers.*1568.*use model\.name conv or dense"):
        build_vae(PooledConvSettings(), FASHION)


def test_evaluated_it_codes_an_image_alike_in_any_batch() -> None:
    torch.manual_seed(0)
    autoencoder = build_autoencoder(PooledConvSettings(dropout=0.5), ImageShape(1, 8, 8))
    x = torch.randn(20, 1, 8, 8)
    assert not torch.equal(autoencoder.encode(x), autoencoder.encode(x))  # dropout
    autoencoder.eval()
    whole = autoencoder.encode(x).detach()
    assert torch.allclose(torch.cat([autoencoder.encode(part) for part in torch.split(x, 3)]), whole, atol=1e-6)
    assert float(whole.min()) >= 0  # z comes out of a ReLU


def test_dec_clusters_on_it() -> None:
    images = bars(100)
    settings = config().model_copy(update={"model": PooledConvSettings(channels=(8, 4), dropout=0.1)})
    method = DEC(settings, ImageShape(1, 8, 8))
    assert method.space == "latent (64-d)"
    assert method.centroid_positions().shape == (4, 64)
    run(method, images)
    assert method.embed(images.images).shape == (100, 64)
    q = method.assign(images.images).probabilities
    assert q is not None
    assert bool(q.isfinite().all())
    assert method.decoded_centroids().shape == (4, 1, 8, 8)
