"""A hash of an object and of everything that hangs on it: the same for equal contents, in any process."""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from collections.abc import Mapping, Sequence, Set
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from einops.layers import RearrangeMixin
from pydantic import BaseModel
from torch import Tensor

from configs.schema import RunConfig

ELSEWHERE = {"name", "report", "data", "known", "runtime"}
"""Of a run's config: what tables call it, and what keys hold in another form, as the images' fingerprint, what is
known of them and the machine. No method reads them; a test holds it."""


class Contents:
    """Takes in objects and becomes their hash.

    Args:
        known: by id, objects that are not looked into, and what stands for them.

    Attributes:
        modules: names of the Python modules whose classes and functions were met.
    """

    def __init__(self, known: Mapping[int, str]) -> None:
        self.modules: set[str] = set()
        self._known = known
        self._met: dict[int, int] = {}
        self._alive: list[object] = []  # an id is an object's own while the object lives
        self._digest = hashlib.sha256()

    def hexdigest(self) -> str:
        """SHA-256 of all that was added."""
        return self._digest.hexdigest()

    def add(self, value: Any) -> None:
        """Take in `value` and what hangs on it.

        Raises:
            TypeError: when its contents cannot be told.
        """
        if value is None or value is ... or isinstance(value, bool | int | float | complex | str | bytes):
            self._say(type(value).__name__, repr(value))
        elif id(value) in self._known:
            self._say("known", self._known[id(value)])
        elif id(value) in self._met:  # what is shared stays told from two that are equal
            self._say("met", self._met[id(value)])
        else:
            self._met[id(value)] = len(self._met)
            self._alive.append(value)
            _take(value, self)

    def add_each(self, kind: str, values: Sequence[Any]) -> None:
        """Take in a sequence, told from others by `kind`."""
        self._say(kind, len(values))
        for value in values:
            self.add(value)

    def name(self, thing: Any) -> None:
        """Take in a class or a function by its name, and note its module."""
        self.modules.add(thing.__module__)
        self._say("named", f"{thing.__module__}.{thing.__qualname__}")

    def raw(self, kind: str, data: bytes | memoryview) -> None:
        """Take in bytes."""
        self._say(kind, len(data))
        self._digest.update(data)

    def _say(self, kind: str, text: object) -> None:
        self._digest.update(f"{kind}:{text}\n".encode(errors="surrogatepass"))


@functools.singledispatch
def _take(value: Any, contents: Contents) -> None:
    """Any other object: its class and its attributes."""
    if not hasattr(value, "__dict__"):
        raise TypeError(
            f"a phase holds a {type(value).__module__}.{type(value).__qualname__}, and what that holds cannot be told: "
            "hold plain values, tensors, modules, settings or functions instead, or teach engine/contents.py."
        )
    contents.name(type(value))
    _classes(type(value), contents)
    contents.add(vars(value))


def _classes(kind: type, contents: Contents) -> None:
    contents.modules.update(base.__module__ for base in kind.__mro__)


@_take.register
def _(value: Tensor, contents: Contents) -> None:
    contents.add_each("tensor", [str(value.dtype), str(value.device.type), *value.shape, value.requires_grad])
    plain = value.detach().cpu().contiguous().view(-1)
    contents.raw("values", plain.view(torch.uint8).numpy().data.cast("B") if plain.numel() else b"")


@_take.register
def _(value: np.ndarray, contents: Contents) -> None:
    contents.add_each("array", [value.dtype.str, *value.shape])
    contents.raw("values", value.tobytes())


@_take.register
def _(value: Mapping, contents: Contents) -> None:  # type: ignore[type-arg]
    contents.name(type(value))
    contents.add_each("mapping", [part for pair in value.items() for part in pair])


@_take.register(tuple)
@_take.register(list)
def _(value: Sequence[Any], contents: Contents) -> None:
    contents.name(type(value))
    contents.add_each("sequence", value)


@_take.register
def _(value: Set, contents: Contents) -> None:  # type: ignore[type-arg]
    contents.add_each("set", sorted(value, key=repr))


@_take.register
def _(value: BaseModel, contents: Contents) -> None:
    contents.name(type(value))
    _classes(type(value), contents)
    contents.add(value.model_dump(mode="json", exclude=ELSEWHERE if isinstance(value, RunConfig) else None))


@_take.register
def _(value: types.FunctionType, contents: Contents) -> None:
    function = inspect.unwrap(value)
    contents.name(function)
    if function.__module__ == "__main__":  # a notebook's, which no import leads to
        _code(function.__code__, contents)
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    contents.add_each("function", [function.__defaults__, function.__kwdefaults__, *cells])


def _code(code: types.CodeType, contents: Contents) -> None:
    """What a function does, by its instructions."""
    contents.raw("code", code.co_code)
    contents.add_each("names", [*code.co_names, *code.co_freevars])
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _code(constant, contents)
        else:
            contents.add(constant)


@_take.register
def _(value: types.MethodType, contents: Contents) -> None:
    contents.add_each("method", [value.__func__, value.__self__])


@_take.register
def _(value: functools.partial, contents: Contents) -> None:  # type: ignore[type-arg]
    contents.add_each("partial", [value.func, value.args, value.keywords])


@_take.register
def _(value: types.BuiltinFunctionType, contents: Contents) -> None:
    contents.add_each("builtin", [str(value.__module__), value.__qualname__])


@_take.register
def _(value: type, contents: Contents) -> None:
    contents.name(value)
    _classes(value, contents)


@_take.register
def _(value: RearrangeMixin, contents: Contents) -> None:
    contents.add_each("rearrange", [repr(value)])  # it works out its pattern in sets, in no order


@_take.register(torch.dtype)
@_take.register(torch.device)
@_take.register(torch.memory_format)
@_take.register(PurePath)
@_take.register(slice)
@_take.register(range)
def _(value: object, contents: Contents) -> None:
    contents.add_each(type(value).__name__, [repr(value)])
