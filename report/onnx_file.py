"""A trained network as one ONNX file: pictures in, probabilities of the clusters out."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from data.image_set import ImageSet
from evaluation.predictions import EvaluationError
from methods.base import Method, SoftMethod
from system.atomic import write_atomically

CHECKED = 64
"""Images on which the file's answer is compared with the method's."""
TOLERANCE = 1e-4
"""How far a probability may be from the method's: both sum in another order."""
EXTRA = "It takes the optional packages: pip install -e .[onnx]"


class Answer(nn.Module):
    """Images to probabilities, the normalisation of pixels inside."""

    def __init__(self, method: SoftMethod) -> None:
        super().__init__()
        self.method = method

    def forward(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.method.soft_assign(images)


def write_onnx(path: Path, method: Method, images: ImageSet) -> float:
    """Write the method's network to `path`, checked against the method on `images`.

    The file takes `images`, (n, c, h, w), uint8, 0 to 255, of any n and of the size that the method was fitted to; or,
    fitted to points, these, (n, d, 1, 1), float32. It gives `probabilities`, (n, k), float32.

    Args:
        path: of the file.
        method: fitted; it is moved to the CPU, where both are compared.
        images: of which the first are compared.

    Returns:
        The largest difference between a probability of the file and of the method.

    Raises:
        EvaluationError: no network gives this method's answer, a package is missing, the file cannot be written, or its
            answer is another than the method's.
    """
    if not isinstance(method, SoftMethod) or not isinstance(method, nn.Module):
        raise EvaluationError(
            "--onnx: this method's answer is not one network's. Methods with such an answer are dec and its kin, dkm, "
            "vade, deepdpm, scan, temi, turtle and pace."
        )
    if method.beyond_its_network is not None:
        raise EvaluationError(f"--onnx: this method stands on {method.beyond_its_network}.")
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise EvaluationError(f"--onnx: {error.name} is not installed. {EXTRA}") from error
    method.to(torch.device("cpu"))
    given = images.images[:CHECKED].clone()
    answer = Answer(method).eval()
    content = exported(answer, given)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = answer(given).numpy()
    difference = 0.0
    for rows in (slice(0, len(given)), slice(0, 1)):  # in a batch, and alone
        found = session.run(["probabilities"], {"images": given[rows].numpy()})[0]
        difference = max(difference, float(np.abs(found - expected[rows]).max()))
    if not difference <= TOLERANCE:
        raise EvaluationError(
            f"--onnx: the file would answer otherwise than the method: probabilities differ by up to {difference:.2g}, "
            f"and {TOLERANCE:g} is allowed. It was not written."
        )
    try:
        write_atomically(path, lambda file: file.write(content))
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error.strerror or error}.") from error
    return difference


def exported(answer: Answer, images: Num[Tensor, "n c h w"]) -> bytes:
    """The network as ONNX, weights inside."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own parts
        file = os.path.join(folder, "network.onnx")
        torch.onnx.export(
            answer,
            (images if len(images) > 1 else images.expand(2, -1, -1, -1),),  # one image would fix their number
            file,
            input_names=["images"],
            output_names=["probabilities"],
            dynamic_shapes={"images": {0: torch.export.Dim("n")}},
            external_data=False,
            verbose=False,
        )
        return Path(file).read_bytes()
