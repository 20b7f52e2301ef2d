"""The vision transformer: patches, positions, layers as torch's own, and a function of one image at a time."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from configs.schema import RunConfig, RuntimeSettings
from data.image_set import ImageSet
from data.sources import load
from engine.checkpoint import Checkpoint
from engine.fit import fit
from engine.processes import launch
from evaluation.predictions import predict
from methods.registry import METHOD_NAMES, METHODS
from models.autoencoder import ImageShape, ModelError
from models.build import build_autoencoder, build_encoder, build_vae
from models.settings import ViTSettings
from models.vit import Block, Patches, Positions, cut, sine_positions, to_patches, to_pixels
from parts.reset import shrink_and_perturb
from report.figures.attention import attention as attention_figure
from report.network_layers import layers_of
from report.onnx_file import write_onnx
from tests.pretend_accelerator import pretend
from tests.small import small_config

SMALL = ViTSettings(latent=3, width=8, depth=2, heads=2, decoder_depth=1)
POOLS = [SMALL, SMALL.model_copy(update={"pool": "mean"})]


@pytest.mark.parametrize(
    ("patch", "shape", "expected"),
    [
        (None, (1, 8, 8), (2, 4, 4)),
        (None, (1, 28, 28), (4, 7, 7)),
        (None, (3, 32, 32), (4, 8, 8)),
        (None, (3, 64, 64), (8, 8, 8)),
        (None, (3, 224, 224), (28, 8, 8)),
        (16, (3, 224, 224), (16, 14, 14)),
        (7, (1, 28, 28), (7, 4, 4)),
        (None, (1, 27, 41), (5, 6, 9)),  # √(27·41) / 8 = 4.2
        (60, (1, 100, 100), (50, 2, 2)),  # two of 60 would reach 20 pixels beyond the image
        (None, (1, 8, 800), (10, 1, 80)),
    ],
)
def test_how_images_are_cut(patch: int | None, shape: tuple[int, int, int], expected: tuple[int, int, int]) -> None:
    assert cut(patch, ImageShape(*shape)) == expected


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (2, 27, 41)])
def test_patches_become_the_image_again(shape: tuple[int, int, int]) -> None:
    patches = cut(None, ImageShape(*shape))
    x = torch.randn(3, *shape)
    tokens = nn.Sequential(*to_patches(patches, ImageShape(*shape)))(x)
    assert tokens.shape == (3, patches.rows * patches.columns, patches.side**2 * shape[0])
    assert torch.equal(nn.Sequential(*to_pixels(patches, ImageShape(*shape)))(tokens), x)


def test_patches_stand_row_by_row_and_end_in_zeros() -> None:
    x = torch.arange(12.0).view(1, 1, 3, 4)
    tokens = nn.Sequential(*to_patches(Patches(2, 2, 2), ImageShape(1, 3, 4)))(x)
    assert tokens[0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 0, 0], [10, 11, 0, 0]]


def test_positions_are_waves_along_rows_and_columns() -> None:
    table = sine_positions(2, 3, 8)  # wavelengths 2π and 200π
    row, column = 1, 2
    expected = [f(place * rate) for place in (row, column) for f in (math.sin, math.cos) for rate in (1, 0.01)]
    assert table[row * 3 + column].tolist() == pytest.approx(expected, abs=1e-6)


def test_likeness_of_positions_depends_on_how_far_apart_they_are() -> None:
    """sin·sin + cos·cos is the cosine of a difference, for rows and for columns."""
    table = sine_positions(5, 5, 32).view(5, 5, 32)
    likeness = torch.einsum("rcw,sdw->rcsd", table, table)
    for row, column in ((1, 0), (0, 2), (2, 1)):
        pairs = [likeness[r, c, r + row, c + column] for r in range(5 - row) for c in range(5 - column)]
        assert torch.allclose(torch.stack(pairs), pairs[0], atol=1e-4)
    assert float(likeness[0, 0, 0, 0]) == pytest.approx(16)  # sin² + cos², 8 rates, rows and columns


@pytest.mark.parametrize("settings", POOLS, ids=["class", "mean"])
def test_only_positions_tell_patches_apart(settings: ViTSettings) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(settings, ImageShape(1, 8, 8))
    x = torch.randn(4, 1, 8, 8)
    turned = x.roll(2, dims=3)  # by one patch
    assert not torch.allclose(encoder(x), encoder(turned), atol=1e-2)
    positions = next(layer for layer in encoder if isinstance(layer, Positions))
    positions.table.zero_()
    assert torch.allclose(encoder(x), encoder(turned), atol=1e-5)


def test_a_layer_is_torchs_that_normalises_first() -> None:
    torch.manual_seed(0)
    ours = Block(8, 2, 16, "glorot")
    for parameter in ours.parameters():  # biases and scales too
        nn.init.normal_(parameter, std=0.5)
    theirs = nn.TransformerEncoderLayer(8, 2, 16, dropout=0, activation="gelu", batch_first=True, norm_first=True)
    named = {"attention_norm": "norm1", "attention": "self_attn", "mlp_norm": "norm2", "mlp.0": "linear1",
             "mlp.2": "linear2"}  # fmt: skip
    for one, other in named.items():
        theirs.get_submodule(other).load_state_dict(ours.get_submodule(one).state_dict())
    tokens = torch.randn(3, 5, 8)
    assert torch.allclose(ours(tokens), theirs(tokens), atol=1e-5)


@pytest.mark.parametrize("settings", POOLS, ids=["class", "mean"])
def test_the_encoder_looks_at_one_image_at_a_time(settings: ViTSettings) -> None:
    torch.manual_seed(0)
    network = build_autoencoder(settings, ImageShape(3, 12, 10))
    x = torch.randn(5, 3, 12, 10)
    for mode in (True, False):
        network.train(mode)
        with torch.no_grad():
            z = network.encode(x)
            alone = torch.cat([network.encode(x[i : i + 1]) for i in range(5)])
            decoded = torch.cat([network.decode(z[i : i + 1]) for i in range(5)])
            assert torch.allclose(z, alone, atol=1e-5)
            assert torch.allclose(network.decode(z), decoded, atol=1e-5)


def test_training_and_evaluation_compute_the_same() -> None:
    """There is no dropout. torch takes another way through attention without gradients."""
    torch.manual_seed(0)
    encoder = build_encoder(SMALL, ImageShape(1, 8, 8))
    x = torch.randn(5, 1, 8, 8)
    trained = encoder.train()(x).detach()
    with torch.no_grad():
        assert torch.allclose(encoder.eval()(x), trained, atol=1e-5)


def test_the_network_has_the_weights_that_its_settings_say() -> None:
    network = build_autoencoder(ViTSettings(), ImageShape(1, 28, 28))
    width, hidden, patches, pixels = 96, 192, 49, 16
    layer = 4 * (width * width + width) + 2 * width * hidden + hidden + width + 4 * width
    encoder = pixels * width + width + width + 4 * layer + 2 * width + width * 10 + 10
    decoder = 11 * patches * width + 2 * layer + 2 * width + width * pixels + pixels
    assert sum(p.numel() for p in network.encoder.parameters()) == encoder
    assert sum(p.numel() for p in network.decoder.parameters()) == decoder
    assert "2.table" not in network.encoder.state_dict()  # positions are computed


def test_the_first_weights_are_glorots() -> None:
    torch.manual_seed(0)
    network = build_autoencoder(ViTSettings(), ImageShape(1, 28, 28))
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert len(layers) == 4 + 3 * 6  # in and out of both networks; three a layer
    for layer in layers:
        bound = math.sqrt(6 / (layer.in_features + layer.out_features))
        assert 0.95 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()
    signal = network.encode(torch.randn(200, 1, 28, 28)).std().item()
    assert 0.3 < signal < 3


@pytest.mark.parametrize(("init", "spread"), [("he", math.sqrt(2 / 96)), ("uniform", 1 / math.sqrt(3 * 96))])
def test_other_first_weights_reach_every_layer(init: str, spread: float) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(ViTSettings.model_validate({"init": init}), ImageShape(1, 28, 28))
    blocks = [layer for layer in encoder if isinstance(layer, Block)]
    assert len(blocks) == 4
    for block in blocks:
        before_gelu = block.mlp[0]
        assert isinstance(before_gelu, nn.Linear)
        assert before_gelu.weight.std().item() == pytest.approx(spread, rel=0.03)


def test_a_variational_autoencoder_stands_on_it() -> None:
    vae = build_vae(SMALL, ImageShape(1, 8, 8))
    mu, log_variance = vae.encode(torch.randn(2, 1, 8, 8))
    assert mu.shape == log_variance.shape == (2, 3)
    assert vae.decode(mu).shape == (2, 1, 8, 8)


def test_bfloat16_stays_near_float32() -> None:
    torch.manual_seed(0)
    network = build_autoencoder(ViTSettings(), ImageShape(1, 28, 28))
    x = torch.randn(20, 1, 28, 28)

    def loss() -> tuple[Tensor, Tensor]:
        network.zero_grad()
        z = network.encode(x)
        (network.decode(z) - x).square().mean().backward()
        gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        return z.detach().float(), torch.cat(gradients)

    exact, gradient = loss()
    with torch.autocast("cpu", torch.bfloat16):
        rounded, near = loss()
    assert len(gradient) == len(near) == sum(p.numel() for p in network.parameters())
    assert (rounded - exact).norm() < 0.03 * exact.norm()
    assert torch.cosine_similarity(gradient, near, dim=0) > 0.99


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match="model.patch is 9, and images of 8×20 pixels have no patch of 9×9: use 8 or"):
        build_encoder(ViTSettings(patch=9), ImageShape(1, 8, 20))
    with pytest.raises(ValidationError, match=r"width 96 must be a multiple of heads \(5\)"):
        ViTSettings(heads=5)
    with pytest.raises(ValidationError, match=r"width 6 must be a multiple of heads \(3\), which share it, and of 4"):
        ViTSettings(width=6, heads=3)


NETWORK = "{name: vit, latent: 4, patch: 4, width: 8, depth: 1, heads: 2, decoder_depth: 1}"
JOINT = [name for name in METHODS if name not in METHOD_NAMES and name != "n2d"]
TWO_STAGE = {"ae-kmeans": "autoencoder", "vae-gmm": "vae", "simclr-kmeans": "simclr"}


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load("digits").subset(torch.arange(120))


def with_vit(name: str, *settings: str) -> RunConfig:
    section = f"representation.{TWO_STAGE[name]}.model" if name in TWO_STAGE else "model"
    return small_config(name, 0, [f"{section}={NETWORK}", *settings])


@pytest.mark.parametrize("name", [*JOINT, *TWO_STAGE])
def test_every_deep_method_takes_it_and_says_where_it_looks(name: str, digits: ImageSet) -> None:
    fitted = fit(with_vit(name), digits, processes=launch(RuntimeSettings(device="cpu")))
    found = predict(fitted.method, digits)
    assert len(found.assignments.labels) == len(digits)
    assert found.attention is not None
    assert found.attention.shape == (120, 2, 2)
    assert torch.allclose(found.attention.sum(dim=(1, 2)), torch.ones(120))
    assert attention_figure(found) is not None


def test_a_reset_renews_all_its_layers_but_the_last(digits: ImageSet) -> None:
    config = with_vit("dec", "cluster.reset={interval: 1, subsample: 100, initialise: {redos: 1}}")
    backbone = METHODS["dec"].build(config, ImageShape(1, 8, 8)).backbone
    for parameter in backbone.encoder.parameters():
        nn.init.constant_(parameter, 5.0)
    shrink_and_perturb(backbone, 0.8)
    kept = [bool((parameter == 5).all()) for parameter in backbone.encoder.parameters()]
    assert kept == [False] * (len(kept) - 2) + [True, True]
    fit(config, digits, processes=launch(RuntimeSettings(device="cpu")))


def test_steps_on_an_accelerator_are_captured_and_do_not_wait(digits: ImageSet) -> None:
    outcomes = []
    steps = ("pretrain.min_steps=8", "pretrain.batch_size=40", "cluster.min_steps=8", "cluster.batch_size=40")
    for capture in ("true", "false"):
        with pretend() as (accelerator, processes):
            fitted = fit(with_vit("idec", *steps, f"runtime.capture={capture}"), digits, processes=processes)
            assert accelerator.captured == (2 if capture == "true" else 0)
            assert predict(fitted.method, digits).attention is not None
            state = fitted.method.state_dict()
            outcomes.append({name: value.cpu() for name, value in state.items() if isinstance(value, Tensor)})
    assert outcomes[0].keys() == outcomes[1].keys()
    assert all(torch.equal(value, outcomes[1][name]) for name, value in outcomes[0].items())


def test_it_goes_to_onnx_and_back(digits: ImageSet, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    fitted = fit(with_vit("dec"), digits, processes=launch(RuntimeSettings(device="cpu")))
    assert write_onnx(tmp_path / "vit.onnx", fitted.method, digits) < 1e-4


def test_its_layers_are_listed_with_all_their_weights() -> None:
    network = build_autoencoder(SMALL, ImageShape(1, 7, 8))
    layers = layers_of({"encoder": network.encoder, "decoder": network.decoder}, (1, 7, 8))
    assert sum(layer.parameters for layer in layers) == sum(p.numel() for p in network.parameters())
    attention = [layer for layer in layers if "MultiheadAttention" in layer.name]
    assert [(layer.network, layer.output) for layer in attention] == [
        ("encoder", (17, 8)), ("encoder", (17, 8)), ("decoder", (16, 8))
    ]  # fmt: skip
    assert {layer.parameters for layer in attention} == {4 * (8 * 8 + 8)}


@pytest.mark.parametrize("name", ["idec", "simclr-kmeans"])
def test_the_same_seed_ends_with_the_same_bits_stopped_or_not(name: str, digits: ImageSet) -> None:
    saved: list[Checkpoint] = []
    config, processes = with_vit(name, "runtime.checkpoint_seconds=0"), launch(RuntimeSettings(device="cpu"))
    whole = fit(config, digits, processes=processes, save=lambda c: saved.append(copy.deepcopy(c)))
    halfway = next(c for c in saved if c.optimiser is not None and c.loop.epoch)
    for earlier in (None, halfway):
        again = fit(config, digits, processes=processes, earlier=earlier).method.state_dict()
        for key, value in whole.method.state_dict().items():
            assert not isinstance(value, Tensor) or torch.equal(value, again[key]), key
