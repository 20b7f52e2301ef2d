"""Networks by their names in timm, torchvision and open_clip, with weights from their hubs or from a file."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.autoencoder import ModelError
from models.hubs import no_weights, refusal
from models.pretrained_data import pretraining_data
from models.pretrained_input import CLIP_MEAN, CLIP_SD, NetworkInput
from models.pretrained_settings import FrozenSettings

HUGGING_FACE = "https://huggingface.co"
HUB_FILES = (
    *("model.safetensors", "pytorch_model.bin"),
    *("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
)
"""What weights are called in a repository of the hub."""


@dataclass(frozen=True)
class Loaded:
    """A network, as its source gives it.

    Attributes:
        network: standardised pixels to features; a module, on the CPU and in evaluation, where torch runs it.
        name: without the source.
        sha256: of its weights, hex.
        input: what it was trained to see, as far as the settings do not say otherwise.
        pretrained_on: in words; None where nothing says so.
    """

    network: Callable[[Tensor], Tensor]
    name: str
    sha256: str
    input: NetworkInput
    pretrained_on: str | None


def optional(package: str, wanted: str) -> Any:
    """An optional package.

    Raises:
        ModelError: when it is not installed, with how to install it.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ModelError(
            f"{wanted} takes the optional package {package} ({error}): pip install -e .[frozen]"
        ) from error


def from_timm(name: str, settings: FrozenSettings) -> Loaded:
    """timm:NAME or timm:NAME.TAG.

    Raises:
        ModelError: no such network, no weights, or weights of another one.
    """
    timm = optional("timm", f"timm:{name}")
    config = timm.models.get_pretrained_cfg(name) if timm.models.is_model(name) else None
    if config is None:
        near = timm.list_models(f"*{name.partition('.')[0][:12]}*", pretrained=True)[:5]
        raise ModelError(f"timm has no network {name!r}.{' Near: ' + ', '.join(near) + '.' if near else ''}")
    file = settings.weights or _from_hub(f"timm:{name}", config.hf_hub_id)
    read_weights(Path(file))  # whose errors name the file
    # timm says which networks are built for one size, such as most transformers; the others take any.
    sized = {"img_size": settings.size} if settings.size is not None and config.fixed_input_size else {}
    try:
        overlay = {"file": str(Path(file).expanduser())}
        network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0, **sized)
    except (RuntimeError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"the weights in {file} do not fit timm:{name}: {reason:.200}") from error
    data = timm.data.resolve_model_data_config(network)
    size = settings.size or data["input_size"][-1]
    seen = NetworkInput(
        size, int(size / data["crop_pct"]), tuple(data["mean"]), tuple(data["std"]), data["interpolation"],
        squash=data["crop_mode"] == "squash",
    )  # fmt: skip
    tag = (config.tag or "") if settings.weights is None or "." in name else ""
    return Loaded(network.eval(), name, sha256_of_weights(network), _as_set(seen, settings), pretraining_data(tag))


def from_torchvision(name: str, settings: FrozenSettings) -> Loaded:
    """torchvision:NAME, such as resnet50, with its default weights.

    Raises:
        ModelError: no such network, no weights, or weights of another one.
    """
    from torchvision import models

    # Others of its networks find objects or read videos, and some of these ask for weights while they are built.
    if name.lower() not in models.list_models(module=models):
        raise ModelError(f"torchvision has no network {name!r} that classifies images, such as resnet50.")
    weights = models.get_model_weights(name).DEFAULT
    network = models.get_model(name, weights=None, **beside_weights(name.lower(), settings.size or min_size(weights)))
    if settings.weights is not None:
        state = read_weights(Path(settings.weights))
    else:
        cached = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
        said = f"torchvision:{name}", weights.url, str(cached.parent)
        if not cached.is_file() and (why := refusal(weights.url)):
            raise ModelError(no_weights(*said, why))
        try:
            state = weights.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:  # of the network, or of a file that is not the one
            raise ModelError(no_weights(*said, f"gives no file of them ({error!s:.200})")) from error
    _take(network, state, f"torchvision:{name}")
    sha256 = sha256_of_weights(network)
    _without_classes(network, f"torchvision:{name}")
    seen = weights.transforms()
    size = settings.size or seen.crop_size[0]
    resize = round(size * seen.resize_size[0] / seen.crop_size[0])
    known = NetworkInput(size, resize, tuple(seen.mean), tuple(seen.std), seen.interpolation.value)
    tag = weights.name if settings.weights is None else ""
    return Loaded(network.eval(), name, sha256, _as_set(known, settings), pretraining_data(tag))


def beside_weights(name: str, size: int) -> dict[str, Any]:
    """What torchvision's builders set where weights are given: they are given later here."""
    if name in ("googlenet", "inception_v3"):
        # Their weights were trained on pixels from -1 to 1. New weights, which take long to draw, are not needed.
        return {"transform_input": True, "init_weights": False}
    return {"image_size": size} if name.startswith("vit_") else {}


def min_size(weights: Any) -> int:
    """Pixels of a side, of the smallest image that the network of these weights takes."""
    return int(weights.meta["min_size"][0])


def from_open_clip(name: str, settings: FrozenSettings) -> Loaded:
    """open_clip:NAME/TAG, such as ViT-B-32/laion2b_s34b_b79k, the image part alone.

    Raises:
        ModelError: no such network, no weights, or weights of another one.
    """
    open_clip = optional("open_clip", f"open_clip:{name}")
    architecture, _, tag = name.partition("/")
    if architecture not in open_clip.list_models():
        raise ModelError(f"open_clip has no network {architecture!r}; it has, for instance, ViT-B-32.")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if settings.weights is None and tag not in tags:
        raise ModelError(f"open_clip:{architecture} needs a tag of its weights, NAME/TAG, one of: {', '.join(tags)}.")
    found = open_clip.get_pretrained_cfg(architecture, tag) or {}
    file = settings.weights or _from_hub(f"open_clip:{name}", str(found.get("hf_hub", "")).rstrip("/") or None)
    with _without_warnings():
        network = open_clip.create_model(architecture, pretrained=None, force_quick_gelu=bool(found.get("quick_gelu")))
    _take(network, read_weights(Path(file)), f"open_clip:{name}")
    visual = network.visual.eval()
    size = visual.image_size[0] if isinstance(visual.image_size, tuple | list) else visual.image_size
    seen = clip_input(size, found)
    # Its text part is trained on pairs as well, and not needed.
    return Loaded(visual, name, sha256_of_weights(visual), _as_set(seen, settings), pretraining_data(tag))


def clip_input(size: int, found: Mapping[str, Any]) -> NetworkInput:
    """What open_clip's weights were trained to see: their tag says it, and not the network that is built for them.

    Args:
        size: of the network's input.
        found: what open_clip knows of the tag; empty without one, which stands for the usual input of CLIP.
    """
    mean, sd = found.get("mean", CLIP_MEAN), found.get("std", CLIP_SD)
    squash = found.get("resize_mode") == "squash"
    return NetworkInput(size, size, tuple(mean), tuple(sd), found.get("interpolation", "bicubic"), squash)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """open_clip warns of weights that it did not load: they are loaded after it."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _as_set(seen: NetworkInput, settings: FrozenSettings) -> NetworkInput:
    size = settings.size or seen.size
    return NetworkInput(
        size, round(seen.resize * size / seen.size), settings.mean or seen.mean, settings.sd or seen.sd,
        seen.interpolation, seen.squash,
    )  # fmt: skip


def _from_hub(wanted: str, place: str | None) -> str:
    """The file of weights, from the cache or from the hub.

    Args:
        wanted: the network, for messages.
        place: OWNER/NAME of the hub's repository, or OWNER/NAME/FILE.

    Raises:
        ModelError: when it is in neither.
    """
    hub = optional("huggingface_hub", wanted)
    if place is None:
        raise ModelError(f"{wanted} has no weights in the hub: give a file with `weights`.")
    owner, name_there, *file_there = place.split("/", 2)
    repository, files = f"{owner}/{name_there}", file_there or HUB_FILES
    cached = (hub.try_to_load_from_cache(repository, name) for name in files)
    for file in cached:
        if isinstance(file, str):
            return file
    url = os.environ.get("HF_ENDPOINT", HUGGING_FACE)
    said = wanted, url, str(hub.constants.HF_HUB_CACHE)
    for name in files:
        # The hub's library tries again for minutes where it is refused.
        if why := refusal(f"{url}/{repository}/resolve/main/{name}"):
            raise ModelError(no_weights(*said, why))
        try:
            return str(hub.hf_hub_download(repository, name))
        except (hub.errors.EntryNotFoundError, hub.errors.RepositoryNotFoundError, OSError) as error:
            absent = isinstance(error, hub.errors.EntryNotFoundError | hub.errors.RepositoryNotFoundError)
            # "Local" is a kind of the first: the library may not ask, or had no answer.
            if not absent or isinstance(error, hub.errors.LocalEntryNotFoundError):
                raise ModelError(no_weights(*said, f"gives no file of them ({_first_line(error)})")) from error
    raise ModelError(f"{repository} holds no weights of {wanted} under a usual name: give a file with `weights`.")


def _first_line(error: Exception) -> str:
    return f"{str(error).partition(chr(10))[0]:.200}"


WEIGHTS = "Weights are a .safetensors file, or tensors by name that torch.save wrote (.pt, .pth or .bin)."


def read_weights(file: Path) -> dict[str, Tensor]:
    """Tensors by name from a file of torch or of safetensors. No code in it is run.

    Raises:
        ModelError: when it holds anything else.
    """
    file = file.expanduser()
    try:
        if file.suffix == ".safetensors":
            content = optional("safetensors.torch", str(file)).load_file(str(file))
        else:
            content = _unpickled(file)
    except ModelError:
        raise
    except Exception as error:  # of pickle, zip and safetensors, each with classes of its own
        raise ModelError(f"{file} holds no weights that can be read{_reason(error)}. {WEIGHTS}") from error
    for inner in ("state_dict", "model", "model_state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(inner), Mapping):
            content = content[inner]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        there = f", but: {', '.join(map(str, content))!s:.120}" if isinstance(content, Mapping) else ""
        raise ModelError(f"{file} holds no weights by name{there}. {WEIGHTS}")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _unpickled(file: Path) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*TorchScript archive")  # which is refused
        return torch.load(file, map_location="cpu", weights_only=True)


def _reason(error: Exception) -> str:
    """What people can act on; what torch says besides is advice on how to run a stranger's code."""
    if "TorchScript" in str(error):
        return ": it is TorchScript, a network with its weights. Give it as `model`, without `weights`"
    unknown = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))
    return f": beside tensors it holds objects of {unknown[1]}, which are not loaded" if unknown else ""


CLASSES = ("fc.", "classifier.", "head.", "heads.", "last_linear.", "head_dist.", "AuxLogits.", "aux")
"""How the layers begin that give classes."""


def _take(network: nn.Module, state: Mapping[str, Tensor], wanted: str) -> None:
    """Give a network its weights, of which those of its classes may be left over."""
    own = network.state_dict()
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    extra = [name for name in state if name not in own and not name.startswith(CLASSES)]
    wrong = [name for name in own if name in state and state[name].shape != own[name].shape]
    if missing or extra or wrong:
        shown = {"missing": missing, "not known": extra, "of another shape": wrong}
        said = "; ".join(f"{len(names)} {what}, such as {names[0]}" for what, names in shown.items() if names)
        raise ModelError(f"the weights do not fit {wanted}: {said}.")
    # Into the network's own, which says of which version its layers are: MNASNet asks for it.
    own.update({name: state[name] for name in own if name in state})
    network.load_state_dict(own)


def _without_classes(network: nn.Module, wanted: str) -> None:
    """Take away the last layer, which gives classes: features are what it is given."""
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ModelError(f"{wanted} has no linear layer at its end, before which its features would be.")
    parent, _, name = linear[-1].rpartition(".")
    setattr(network.get_submodule(parent), name, nn.Identity())


def sha256_of_weights(network: nn.Module) -> str:
    """Of all weights by name, hex: the same whatever file they came from."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name}:{value.dtype}:{list(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
