"""Networks that others trained, by name or from a file: images to features, and nothing is trained.

The packages timm, open_clip, onnxruntime and safetensors are optional, and imported only for what asks for them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from models.autoencoder import ModelError
from models.pretrained_files import from_onnx, from_torchscript
from models.pretrained_input import NetworkInput
from models.pretrained_settings import FrozenSettings
from models.pretrained_sources import Loaded, from_open_clip, from_timm, from_torchvision

SOURCES: dict[str, Callable[[str, FrozenSettings], Loaded]] = {
    "timm": from_timm,
    "torchvision": from_torchvision,
    "open_clip": from_open_clip,
}
FILES: dict[str, Callable[[Path, FrozenSettings], Loaded]] = {
    ".pt": from_torchscript,
    ".ts": from_torchscript,
    ".onnx": from_onnx,
}
BATCH = {"cpu": 32}
"""Images at a time; what a CPU's caches hold."""
LARGEST_BATCH = 512
"""On other devices; halved where their memory is too small."""


@dataclass(frozen=True)
class NetworkFacts:
    """What is known of a network, without the network.

    Attributes:
        name: without its source: "tf_efficientnet_lite0".
        sha256: of its weights, hex.
        pretrained_on: in words.
        input: what it was trained to see.
        features: their number, d.
    """

    name: str
    sha256: str
    pretrained_on: str
    input: NetworkInput
    features: int


class PretrainedNetwork:
    """A network that others trained.

    Args:
        loaded: the network, as its source gave it.
        settings: that named it.

    Raises:
        ModelError: when it does not give one vector an image.
    """

    def __init__(self, loaded: Loaded, settings: FrozenSettings) -> None:
        self._precision = settings.precision
        self._networks: dict[torch.device, Callable[[Tensor], Tensor]] = {torch.device("cpu"): loaded.network}
        self._batch: dict[torch.device, int] = {}
        self._input, self._name = loaded.input, loaded.name
        probe = self._probed()
        known = settings.pretrained_on or loaded.pretrained_on or "data that its name does not tell"
        self.facts = NetworkFacts(loaded.name, loaded.sha256, known, loaded.input, probe.shape[1])

    def __call__(
        self, images: UInt8[Tensor, "n c h w"], done: Callable[[int], None] | None = None
    ) -> Float[Tensor, "n d"]:
        """The features of a batch, on its device, in float32; computed in parts that fit into its memory.

        Args:
            images: of any size.
            done: told of the number of images of every part, when it is computed.
        """
        device = images.device
        size = self._batch.setdefault(device, BATCH.get(device.type, LARGEST_BATCH))
        parts: list[Tensor] = []
        start = 0
        while start < len(images):
            try:
                parts.append(self._features(images[start : start + size]))
                start += size
                if done is not None:
                    done(len(parts[-1]))
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                size = self._batch[device] = size // 2
        return torch.cat(parts)

    def _features(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        with torch.no_grad(), self._autocast(images.device):
            features = self._on(images.device)(self._input(images))
        if not isinstance(features, Tensor):
            raise ModelError(f"{self._name} gives a {type(features).__name__}, not one tensor: export its features.")
        if features.ndim == 4:  # a map of features, of which the mean is taken
            features = features.mean(dim=(2, 3))
        if features.ndim != 2:
            raise ModelError(
                f"{self._name} gives a tensor of shape {list(features.shape)}; needed is one vector an image, (n, d)."
            )
        if len(features) != len(images):
            raise ModelError(
                f"{self._name} gives {len(features)} vectors for {len(images)} images: export it for any number of "
                "images at a time."
            )
        return features.float()

    def _probed(self) -> Float[Tensor, "2 d"]:
        """Features of two black images: a network that takes one image alone is found out here."""
        size = self._input.size
        try:
            return self(torch.zeros(2, 3, size, size, dtype=torch.uint8))
        except (ModelError, MemoryError):
            raise
        except Exception as error:  # of the code of others, which may raise anything
            reason = str(error).strip().rpartition("\n")[2].rstrip(".") or type(error).__name__
            raise ModelError(
                f"{self._name} cannot compute features of images of 3 × {size} × {size} pixels: {reason:.200}. "
                "If it takes another size, say it with size=N beside the network's name, or leave size out for its own."
            ) from error

    def _on(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """The network on `device`, beside that on the CPU."""
        if device not in self._networks:
            network = self._networks[torch.device("cpu")]
            self._networks[device] = copy.deepcopy(network).to(device) if isinstance(network, nn.Module) else network
        return self._networks[device]

    def _autocast(self, device: torch.device) -> torch.autocast | nullcontext[None]:
        """bf16 where it is wanted, or where it gains."""
        gains = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        if self._precision == "bf16-mixed" or (self._precision == "auto" and gains):
            return torch.autocast(device.type, torch.bfloat16)
        return nullcontext()


def load_network(settings: FrozenSettings) -> PretrainedNetwork:
    """The network that `settings` name, loaded once a process.

    Raises:
        ModelError: when there is no such network or no such file, its weights are not to be had, or do not fit.
    """
    files = [Path(name).expanduser() for name in (settings.model, settings.weights) if name is not None]
    stamps = [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.is_file()]
    # Building a network draws weights that are thrown away: runs would differ by whether it was loaded before.
    with torch.random.fork_rng(devices=[]):
        return _load(settings, tuple(stamps))


@lru_cache(maxsize=2)
def _load(settings: FrozenSettings, stamps: tuple[tuple[str, int, int], ...]) -> PretrainedNetwork:
    source, colon, name = settings.model.partition(":")
    if colon and source in SOURCES:
        if settings.weights is not None and not Path(settings.weights).expanduser().is_file():
            raise ModelError(f"there is no file {settings.weights}, which should hold the weights of {settings.model}.")
        return PretrainedNetwork(SOURCES[source](name, settings), settings)
    file = Path(settings.model).expanduser()
    if file.suffix == ".safetensors":
        raise ModelError(
            f"a file such as {file} holds weights and no architecture: name one, as model=timm:NAME, and give the file "
            "as weights."
        )
    if file.suffix not in FILES:
        raise ModelError(
            f"there is no network {settings.model!r}: give timm:NAME, torchvision:NAME, open_clip:NAME/TAG, or the "
            "path of a TorchScript (.pt, .ts) or ONNX (.onnx) file."
        )
    if not file.is_file():
        raise ModelError(f"there is no file {file}, which should hold the network.")
    if settings.weights is not None:
        raise ModelError(f"{file} holds its own weights: leave `weights` out.")
    return PretrainedNetwork(FILES[file.suffix](file, settings), settings)
