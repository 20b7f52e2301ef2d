"""Networks from files that hold both architecture and weights: TorchScript and ONNX."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.autoencoder import ModelError
from models.pretrained_input import IMAGENET_MEAN, IMAGENET_SD, NetworkInput
from models.pretrained_settings import FrozenSettings
from models.pretrained_sources import Loaded, optional

SIZE = 224
"""The usual input, where a file does not say."""


def from_torchscript(file: Path, settings: FrozenSettings) -> Loaded:
    """A network that `torch.jit.save` wrote. It runs code of its author: take files from those whom you trust.

    Raises:
        ModelError: when it is none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces the end of the format, and reads it still
            network: nn.Module = torch.jit.load(str(file), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"{file} is no TorchScript file, as torch.jit.save writes it. Weights alone go to `weights`, beside a "
            "network's name, such as model=torchvision:resnet50."
        ) from error
    return Loaded(network, file.stem, sha256_of(file), _input(settings), None)


def from_onnx(file: Path, settings: FrozenSettings) -> Loaded:
    """A network in ONNX, run by onnxruntime on the CPU. Its first input is the images, its first output the features.

    Raises:
        ModelError: when it is none, or onnxruntime is not installed.
    """
    runtime = optional("onnxruntime", str(file))
    try:
        session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes, which differ from version to version
        raise ModelError(f"{file} is no ONNX file that onnxruntime can run: {error!s:.200}") from error
    return Loaded(_Session(session), file.stem, sha256_of(file), _input(settings, session), None)


class _Session:
    """An ONNX network as a function of tensors."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = session.get_inputs()[0]

    def __call__(self, pixels: Tensor) -> Tensor:
        arrays = pixels.float().cpu().numpy()
        fixed = self._input.shape[0]
        # An export without a dynamic batch takes as many images at a time as it was exported with.
        parts = [arrays] if not isinstance(fixed, int) or fixed == len(arrays) else self._fixed(arrays, fixed)
        found = [torch.from_numpy(self._session.run(None, {self._input.name: part})[0]) for part in parts]
        return torch.cat(found)[: len(pixels)].to(pixels.device)

    @staticmethod
    def _fixed(arrays: Any, size: int) -> list[Any]:
        import numpy as np

        padded = np.concatenate([arrays, np.repeat(arrays[-1:], -len(arrays) % size, axis=0)])
        return [padded[start : start + size] for start in range(0, len(padded), size)]


def _input(settings: FrozenSettings, session: Any = None) -> NetworkInput:
    """What the settings say; the size, where an ONNX file says it, is the file's."""
    size = settings.size
    if size is None and session is not None and isinstance(session.get_inputs()[0].shape[-1], int):
        size = session.get_inputs()[0].shape[-1]
    size = size or SIZE
    return NetworkInput(size, size, settings.mean or IMAGENET_MEAN, settings.sd or IMAGENET_SD)


def sha256_of(file: Path) -> str:
    """Of a file's bytes, hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
