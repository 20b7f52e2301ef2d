"""In which precision losses compute: in float32 at the least, whatever the layers before them computed in.

Sums over pixels, exponentials of similarities and logarithms of small shares lose in half precision the digits that
their gradients need. Autocast would take the products within a loss to it, and the layers' outputs that it is handed
are of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


def at_least_float32(x: Tensor) -> Tensor:
    """`x` in float32 where it is of half precision; float32, float64 and integers as they are."""
    return x.float() if x.is_floating_point() and x.element_size() < 4 else x


def in_full_precision(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """`loss` without autocast, of arguments in float32 at the least: half precision is raised, float64 stays."""

    @functools.wraps(loss)
    def computed(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        raised: tuple[Any, ...] = tuple(map(_raised, args))
        named: dict[str, Any] = {name: _raised(value) for name, value in kwargs.items()}
        with ExitStack() as stack:
            for device in set(_devices((*raised, *named.values()))):
                if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
                    stack.enter_context(torch.autocast(device, enabled=False))
            return loss(*raised, **named)

    return computed


def _raised(value: Any) -> Any:
    """`value` with its tensors in float32 at the least; a named tuple of tensors keeps its kind."""
    if isinstance(value, Tensor):
        return at_least_float32(value)
    return type(value)(*map(_raised, value)) if isinstance(value, tuple) else value


def _devices(values: Iterable[Any]) -> Iterator[str]:
    """The kinds of device that the tensors among `values` lie on."""
    for value in values:
        if isinstance(value, Tensor):
            yield value.device.type
        elif isinstance(value, tuple):
            yield from _devices(value)
