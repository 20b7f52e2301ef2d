"""Networks of others: what they are shown, where they and their weights come from, and what is said without them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from models import hubs, pretrained_sources
from models.autoencoder import ModelError
from models.pretrained import PretrainedNetwork, _load, load_network
from models.pretrained_data import pretraining_data
from models.pretrained_input import CLIP_MEAN, CLIP_SD, IMAGENET_MEAN, IMAGENET_SD, NetworkInput
from models.pretrained_settings import FrozenSettings
from models.pretrained_sources import Loaded, beside_weights, clip_input, min_size, sha256_of_weights
from tests.runs import ROOT
from tests.tiny_network import NAME, SIZE, tiny_weights

IMAGES = torch.randint(0, 256, (5, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
TINY = FrozenSettings(model=f"torchvision:{NAME}", weights=str(tiny_weights()), size=SIZE)


class Means(nn.Module):
    """The mean of each channel: features that can be worked out by hand."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


@pytest.fixture
def torchscript(tmp_path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Means(), torch.zeros(2, 3, 8, 8)).save(str(tmp_path / "means.pt"))
    return tmp_path / "means.pt"


def by_hand(images: Tensor, mean: Any = IMAGENET_MEAN, sd: Any = IMAGENET_SD) -> Tensor:
    """What `Means` gives for images that are shown as they are."""
    pixels = images.numpy().astype(np.float64) / 255
    found = (pixels.mean(axis=(2, 3)) - np.array(mean)) / np.array(sd)
    return torch.from_numpy(found).float()


@pytest.mark.parametrize("squash", [False, True])
def test_images_are_resized_and_cropped_as_pillow_and_torchvision_do(squash: bool) -> None:
    from torchvision.transforms import functional as reference
    from torchvision.transforms.functional import InterpolationMode

    image = torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    sides = [20, 20] if squash else 20
    resized = reference.center_crop(reference.resize(picture, sides, InterpolationMode.BICUBIC), [16, 16])
    wanted = reference.normalize(reference.to_tensor(resized), list(IMAGENET_MEAN), list(IMAGENET_SD))
    found = NetworkInput(size=16, resize=20, squash=squash)(image.unsqueeze(0))[0]
    assert found.shape == (3, 16, 16)
    # Pillow rounds to bytes, twice.
    assert float((found - wanted).abs().max()) < 2.5 / 255 / min(IMAGENET_SD)


def test_grey_images_get_three_channels_and_others_are_refused() -> None:
    see = NetworkInput(12, 12, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    grey = IMAGES[:, :1]
    assert torch.equal(see(grey), (grey / 255).expand(-1, 3, -1, -1))
    with pytest.raises(ModelError, match="1 or 3 channels; received 2"):
        see(IMAGES[:, :2])


def test_a_torchscript_file(torchscript: Path) -> None:
    network = load_network(FrozenSettings(model=str(torchscript), size=12))
    assert torch.allclose(network(IMAGES), by_hand(IMAGES), atol=1e-5)
    assert network.facts.features == 3
    assert network.facts.sha256 == hashlib.sha256(torchscript.read_bytes()).hexdigest()
    assert network.facts.pretrained_on == "data that its name does not tell"
    own = load_network(FrozenSettings(model=str(torchscript), size=12, mean=(0.1, 0.2, 0.3), sd=(1.0, 2.0, 4.0)))
    assert torch.allclose(own(IMAGES), by_hand(IMAGES, (0.1, 0.2, 0.3), (1, 2, 4)), atol=1e-5)


@pytest.mark.parametrize("batch", ["n", 2])
def test_an_onnx_file_of_any_batch_or_of_a_fixed_one(batch: str | int, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["m"]), helper.make_node("Flatten", ["m"], ["y"])]
    x, y = (
        helper.make_tensor_value_info(name, number, [batch, 3, *rest]) for name, rest in (("x", [12, 12]), ("y", []))
    )
    graph = helper.make_graph(nodes, "means", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    network = load_network(FrozenSettings(model=str(tmp_path / "m.onnx")))
    assert network.facts.input.size == 12  # the file says it
    assert torch.allclose(network(IMAGES), by_hand(IMAGES), atol=1e-5)


def test_a_network_of_torchvision_without_its_classes() -> None:
    from torchvision import models

    network = models.get_model(NAME, weights=None)
    network.load_state_dict(torch.load(tiny_weights(), weights_only=True))
    network.eval()
    found = load_network(TINY)
    seen: list[Tensor] = []
    network.fc.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    with torch.no_grad():
        network(found.facts.input(IMAGES))
    assert torch.allclose(found(IMAGES), seen[0], atol=1e-5)
    assert found.facts.input.resize == round(SIZE * 256 / 224)
    assert found.facts.sha256 == sha256_of_weights(network)
    assert found.facts.pretrained_on == "data that its name does not tell"  # of a file, whatever the hub's were


@pytest.mark.parametrize(("name", "options", "last"), [
    ("mnasnet0_5", {}, "classifier.1"),  # which is loaded only with the version of its layers
    ("googlenet", {"transform_input": True, "init_weights": False}, "fc"),  # as torchvision builds it beside weights
])  # fmt: skip
def test_networks_of_torchvision_that_are_built_by_rules_of_their_own(
    name: str, options: dict[str, bool], last: str, tmp_path: Path
) -> None:
    from torchvision import models

    network = models.get_model(name, weights=None, **options).eval()
    torch.save(dict(network.state_dict()), tmp_path / "weights.pt")
    found = load_network(FrozenSettings(model=f"torchvision:{name}", weights=str(tmp_path / "weights.pt"), size=64))
    seen: list[Tensor] = []
    network.get_submodule(last).register_forward_hook(lambda module, given, out: seen.append(given[0]))
    with torch.no_grad():
        network(found.facts.input(IMAGES))
    assert torch.allclose(found(IMAGES), seen[0], atol=1e-5)


def test_transformers_of_torchvision_are_built_for_the_size_of_their_weights() -> None:
    """torchvision trained its largest one on images of 518 pixels a side, and its class begins with 224."""
    from torchvision import models

    weights = models.get_model_weights("vit_h_14").DEFAULT
    assert beside_weights("vit_h_14", min_size(weights)) == {"image_size": 518}


def test_loading_leaves_the_generator_where_it_was() -> None:
    """A second run in one process finds the network loaded: it must draw what the first one drew."""
    _load.cache_clear()
    torch.manual_seed(0)
    load_network(TINY)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(3), drawn)


def test_safetensors_hold_the_same_weights(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(torch.load(tiny_weights(), weights_only=True), tmp_path / "w.safetensors")
    other = load_network(TINY.model_copy(update={"weights": str(tmp_path / "w.safetensors")}))
    assert other.facts == load_network(TINY).facts
    with pytest.raises(ModelError, match="name one, as model=timm:NAME"):
        load_network(FrozenSettings(model=str(tmp_path / "w.safetensors")))


def test_timm_takes_its_own_size_mean_and_weights(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    whole = timm.create_model("mobilenetv3_small_050", pretrained=False).eval()
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    settings = FrozenSettings(model="timm:mobilenetv3_small_050", weights=str(tmp_path / "w.pth"))
    network = load_network(settings)
    config = timm.data.resolve_model_data_config(whole)
    assert (network.facts.input.mean, network.facts.input.sd) == (config["mean"], config["std"])
    assert network.facts.input.size == config["input_size"][-1]
    with torch.no_grad():
        wanted = whole.forward_head(whole.forward_features(network.facts.input(IMAGES)), pre_logits=True)
    assert torch.allclose(network(IMAGES), wanted, atol=1e-5)
    with pytest.raises(ModelError, match="do not fit timm:resnet10t"):
        load_network(FrozenSettings(model="timm:resnet10t", weights=str(tmp_path / "w.pth")))


def test_a_network_of_timm_is_built_for_the_size_that_is_asked_for(tmp_path: Path) -> None:
    """One that timm builds for one size, whatever it is called."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    whole = timm.create_model("test_coatnet", pretrained=False, img_size=96).eval()
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    network = load_network(FrozenSettings(model="timm:test_coatnet", weights=str(tmp_path / "w.pth"), size=96))
    with torch.no_grad():
        expected = whole.forward_head(whole.forward_features(network.facts.input(IMAGES)), pre_logits=True)
    assert torch.allclose(network(IMAGES), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "nothing"}, "give timm:NAME, torchvision:NAME"),
        ({"model": "nothing.pt"}, "there is no file nothing.pt"),
        ({"model": "torchvision:resnet51"}, "torchvision has no network 'resnet51'"),
        ({"model": "torchvision:fcn_resnet50"}, "torchvision has no network 'fcn_resnet50' that classifies images"),
        ({"model": f"torchvision:{NAME}", "weights": "gone.pt"}, "there is no file gone.pt"),
        (
            {"model": "torchvision:resnet18", "weights": str(tiny_weights())},
            "do not fit torchvision:resnet18: .* missing",
        ),
        ({"model": str(tiny_weights())}, "is no TorchScript file"),
        ({"model": f"torchvision:{NAME}", "weights": str(ROOT / "README.md")}, "no weights that can be read"),
    ],
)
def test_what_cannot_be_had_is_said(changes: dict[str, str], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        load_network(FrozenSettings(**changes))


@pytest.mark.parametrize(
    ("network", "size", "said"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten()), 8, r"of 3 × 8 × 8 pixels: .*expected input.* to have 1 ch"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)), 12, r"of 3 × 12 × 12 pixels: .* say it with size=N"),
        (nn.Flatten(0), 8, "a tensor of shape"),
        (nn.Unflatten(2, (1, 8)), 8, "a tensor of shape"),
    ],
)
def test_networks_that_do_not_take_the_images_are_said(
    network: nn.Module, size: int, said: str, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(network).save(str(tmp_path / "n.pt"))
    with pytest.raises(ModelError, match=said):
        load_network(FrozenSettings(model=str(tmp_path / "n.pt"), size=size))


def test_a_network_for_one_image_at_a_time_is_said(tmp_path: Path) -> None:
    class One(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(dim=(0, 2, 3)).view(1, 3)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(One(), torch.zeros(1, 3, 8, 8)).save(str(tmp_path / "one.pt"))
    with pytest.raises(ModelError, match="one gives 1 vectors for 2 images: export it for any number"):
        load_network(FrozenSettings(model=str(tmp_path / "one.pt"), size=8))


def test_weights_in_files_of_other_kinds_are_said(torchscript: Path, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1), "options": Path("x")}, tmp_path / "objects.pth")
    torch.save({"teacher": {}, "student": {}}, tmp_path / "two.pth")
    said = {
        torchscript: "it is TorchScript, a network with its weights. Give it as `model`",
        tmp_path / "objects.pth": "beside tensors it holds objects of pathlib",
        tmp_path / "two.pth": "no weights by name, but: teacher, student. Weights are",
    }
    for file, words in said.items():
        with pytest.raises(ModelError, match=words):
            load_network(FrozenSettings(model=f"torchvision:{NAME}", weights=str(file)))


def test_a_hub_that_cannot_be_reached_is_said_with_both_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pretrained_sources, "refusal", lambda url: hubs.SILENT)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ModelError) as caught:
        load_network(FrozenSettings(model="torchvision:resnet18"))
    said = str(caught.value)
    assert "does not answer" in said
    assert str(tmp_path) in said
    assert "representation.frozen.weights=FILE" in said


def test_weights_of_open_clip_say_what_they_were_trained_to_see() -> None:
    open_clip = pytest.importorskip("open_clip")
    half = (0.5, 0.5, 0.5)
    siglip = open_clip.get_pretrained_cfg("ViT-B-16-SigLIP", "webli")
    assert clip_input(224, siglip) == NetworkInput(224, 224, half, half, "bicubic", squash=True)
    openai = open_clip.get_pretrained_cfg("ViT-B-32", "openai")
    assert clip_input(224, openai) == clip_input(224, {}) == NetworkInput(224, 224, CLIP_MEAN, CLIP_SD)


def test_a_package_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match=r"optional package timm .*pip install -e \.\[frozen\]"):
        load_network(FrozenSettings(model="timm:anything"))


def test_batches_are_halved_where_memory_is_too_small() -> None:
    sizes: list[int] = []

    def small(pixels: Tensor) -> Tensor:
        if len(pixels) > 10:
            raise torch.OutOfMemoryError("too many")
        sizes.append(len(pixels))
        return pixels.mean(dim=(2, 3))

    network = PretrainedNetwork(Loaded(small, "small", "0", NetworkInput(12, 12), None), FrozenSettings())
    images = IMAGES.repeat(9, 1, 1, 1)
    counted: list[int] = []
    assert torch.allclose(network(images, counted.append), by_hand(images), atol=1e-5)
    assert sizes == [2, 8, 8, 8, 8, 8, 5]  # first the probe; 32 and 16 were too many
    assert counted == sizes[1:]


@pytest.mark.parametrize(("shape", "fits"), [((4, 2, 2), True), ((7,), True), ((6, 5), False)])
def test_it_must_give_one_vector_an_image(shape: tuple[int, ...], fits: bool) -> None:
    loaded = Loaded(lambda x: torch.ones(len(x), *shape), "shaped", "0", NetworkInput(12, 12), None)
    if fits:
        assert PretrainedNetwork(loaded, FrozenSettings())(IMAGES).shape == (5, shape[0])
    else:
        with pytest.raises(ModelError, match="one vector an image"):
            PretrainedNetwork(loaded, FrozenSettings())


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("in1k", "ImageNet with labels"),
        ("IMAGENET1K_V2", "ImageNet with labels"),
        ("lvd142m", "LVD-142M without labels"),
        ("augreg_in21k_ft_in1k", "ImageNet-21k with labels and ImageNet with labels"),
        ("laion2b_s34b_b79k", "LAION-2B image-text pairs"),
        ("ns_jft_in1k", "JFT-300M and ImageNet with labels"),
        ("IMAGENET1K_SWAG_E2E_V1", "ImageNet with labels and 3.6 billion images with hashtags"),
        ("in22k_ijepa", "ImageNet-21k without labels"),
        ("mim_in22k_ft_in1k", "ImageNet-21k without labels and ImageNet with labels"),
        ("dfn2b", "DFN image-text pairs"),
        ("", None),
        ("main", None),
    ],
)
def test_tags_name_the_data(tag: str, said: str | None) -> None:
    assert pretraining_data(tag) == said


def test_optional_packages_are_not_imported_unless_they_are_asked_for() -> None:
    code = (
        "import sys, methods.two_stage, methods.temi\n"
        "print(sorted({'timm', 'open_clip', 'onnxruntime', 'safetensors', 'huggingface_hub'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
