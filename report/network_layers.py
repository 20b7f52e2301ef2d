"""A network layer by layer: what every layer gives out, and how many parameters it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Layer:
    """One layer, with the activations behind it that change no shape and have no parameters.

    Attributes:
        network: the part that it belongs to: "encoder", "decoder".
        name: "Conv2d 4×4, stride 2 + ReLU".
        output: the shape that it gives out for one image.
        parameters: trained numbers: weights and biases, not running statistics.
    """

    network: str
    name: str
    output: tuple[int, ...]
    parameters: int


def layers_of(networks: Mapping[str, nn.Module], shape: tuple[int, ...]) -> list[Layer]:
    """The layers in the order in which they compute.

    One black image goes through the networks, each of which receives what the one before it gave out. Where a dense
    layer takes fewer numbers, it receives the first of them: a variational encoder gives out μ and log σ², and its
    decoder takes μ. The networks are left as they were.

    Args:
        networks: by name, in their order.
        shape: of one image, (c, h, w).
    """
    found: list[Layer] = []
    counted: set[int] = set()
    x = torch.zeros(1, *shape)
    for title, network in networks.items():
        modules = [module for module in network.modules() if _is_layer(module)]
        first = modules[0]
        if isinstance(first, nn.Linear):
            x = x[:, : first.in_features]
        hooks = [module.register_forward_hook(_recorder(title, found, counted)) for module in modules]
        try:
            x = _run(network, x)
        finally:
            for hook in hooks:
                hook.remove()
    return found


def _run(network: nn.Module, x: Tensor) -> Tensor:
    """`network(x)` as in evaluation; its parts are left in the mode they were in."""
    training = {module: module.training for module in network.modules()}
    device = next((parameter.device for parameter in network.parameters()), x.device)
    try:
        with torch.no_grad():
            output: Tensor = network.eval()(x.to(device))
    finally:
        for module, mode in training.items():
            module.training = mode
    return output


def _is_layer(module: nn.Module) -> bool:
    """Whether it computes something itself, beyond handing on to its parts."""
    return not any(module.children()) or any(True for _ in module.parameters(recurse=False))


def _own_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """Those that are in no layer within it. Attention computes with its last layer's weights by itself."""
    return module.parameters(recurse=isinstance(module, nn.MultiheadAttention))


def _recorder(network: str, found: list[Layer], counted: set[int]) -> Any:
    def record(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, tuple):  # attention gives its weights too
            output = output[0]
        own = [parameter for parameter in _own_parameters(module) if id(parameter) not in counted]
        counted.update(id(parameter) for parameter in own)  # one that is shared is counted where it is first used
        parameters = sum(parameter.numel() for parameter in own)
        shape = tuple(output.shape[1:])
        last = found[-1] if found and found[-1].network == network else None
        if last is not None and parameters == 0 and shape == last.output:
            found[-1] = replace(last, name=f"{last.name} + {describe(module)}")
        else:
            found.append(Layer(network, describe(module), shape, parameters))

    return record


def describe(module: nn.Module) -> str:
    """The layer's type and what its output's shape does not tell: "Conv2d 4×4, stride 2"."""
    name = type(module).__name__
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        return name
    stride = "" if set(module.stride) == {1} else f", stride {_sides(module.stride)}"
    return f"{name} {'×'.join(str(side) for side in module.kernel_size)}{stride}"


def _sides(sides: tuple[int, ...]) -> str:
    return str(sides[0]) if len(set(sides)) == 1 else "×".join(str(side) for side in sides)
