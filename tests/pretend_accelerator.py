"""A pretend accelerator for machines without one: tensors that say they are on a device, and hold CPU data.

Within `pretend()` everything that is moved or made on the device "meta" becomes such a tensor. Operations compute for
real, on the CPU, and behave as on a CUDA device where it matters:

* mixing it with a CPU tensor of one or more dimensions raises;
* whatever would make the host wait for the device, or copy from pageable memory, is counted in `waits`;
* a step can be captured: its operations are recorded with the very tensors that they read and wrote, and a replay runs
  these again and no Python. What makes the host wait cannot be captured.

There are no streams, no memory of its own, and no kernels that differ from the CPU's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from engine import precision, randomness, step_graph
from engine.processes import Processes

DEVICE = torch.device("meta")
aten = torch.ops.aten
INDEXING = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
    aten._unsafe_index.Tensor,
}
SIZED_BY_DATA = {aten.nonzero.default, aten.masked_select.default, aten._unique2.default, aten.unique_dim.default}


class OnAccelerator(torch.Tensor):
    """A tensor that reports the pretend device; its values are in `held`, on the CPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnAccelerator:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )
        made.held = held
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnAccelerator({self.held})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {}, Counter())


class PretendAccelerator(TorchDispatchMode):
    """The mode; `waits` counts what would have made the host wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.captured = 0
        self._recording: list[tuple[Any, Any, Any, Any]] | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = _run(func, args, kwargs or {}, self.waits)
        if self._recording is not None:
            self._recording.append((func, args, kwargs or {}, result))
        return result

    def capture(self, body: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        """Record `body`. It runs meanwhile: the first replay, which would be that run, does nothing."""
        before, self._recording = self.waits.total(), []
        try:
            result = body()
        finally:
            recorded, self._recording = self._recording, None
        if self.waits.total() > before:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.captured += 1
        has_run = False

        def replay() -> None:
            nonlocal has_run
            for func, args, kwargs, result in recorded if has_run else ():
                _again(func, args, kwargs, result, self.waits)
            has_run = True

        return replay, result


class PretendFabric:
    """One process on the pretend device, as Fabric would set it up."""

    global_rank, world_size, device = 0, 1, DEVICE

    def __init__(self) -> None:
        self.strategy = SimpleNamespace()

    def setup_module(self, module: torch.nn.Module) -> torch.nn.Module:
        return module.to(DEVICE)

    def setup_optimizers(self, optimiser: Any) -> Any:
        return optimiser

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()


@contextmanager
def pretend() -> Iterator[tuple[PretendAccelerator, Processes]]:
    """The accelerator, and the process of a run on it."""
    with PretendAccelerator() as accelerator, pytest.MonkeyPatch.context() as patch:
        patch.setattr(randomness, "noise_generator", lambda device: torch.Generator())
        adam = import_module(torch.optim.Adam.__module__)
        patch.setattr(adam, "_get_capturable_supported_devices", lambda *_, **__: ["meta"])
        patch.setitem(precision.OFFERED, "meta", precision.OFFERED["cuda"])
        patch.setattr(precision, "in_precision", lambda *_: nullcontext())  # torch has no autocast for it
        patch.setitem(step_graph.CAPTURES, "meta", accelerator.capture)
        yield accelerator, Processes(PretendFabric())  # type: ignore[arg-type]


def _run(func: Any, args: Any, kwargs: dict[str, Any], waits: Counter[str]) -> Any:
    leaves, _ = tree_flatten((args, kwargs))
    there = [leaf for leaf in leaves if isinstance(leaf, OnAccelerator)]
    here = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and not isinstance(leaf, OnAccelerator)]
    target = None if kwargs.get("device") is None else torch.device(kwargs["device"])
    to_device, to_cpu = target == DEVICE, target is not None and target.type == "cpu"
    copying = func in (aten._to_copy.default, aten.copy_.default)
    if there and not copying and func not in INDEXING and any(tensor.dim() > 0 for tensor in here):
        raise RuntimeError(f"Expected all tensors to be on the same device, but found accelerator and cpu: {func}")
    _count(func, there, here, to_device, to_cpu, waits)
    plain = dict(kwargs)
    if to_device:
        plain["device"] = torch.device("cpu")
    result = func(*tree_map(_held, args), **tree_map(_held, plain))
    if _in_place(func) and args and isinstance(args[0], torch.Tensor) and isinstance(result, torch.Tensor):
        return args[0]
    stays = (bool(there) or to_device) and not to_cpu

    def marked(leaf: Any) -> Any:
        wrap = stays and isinstance(leaf, torch.Tensor) and not isinstance(leaf, OnAccelerator)
        return OnAccelerator(leaf) if wrap else leaf

    return tree_map(marked, result)


def _again(func: Any, args: Any, kwargs: dict[str, Any], result: Any, waits: Counter[str]) -> None:
    """Run a recorded operation once more, its result where the first one's was."""
    with torch.no_grad():
        new = _run(func, args, kwargs, waits)
        if _in_place(func):
            return
        for old, made in zip(tree_flatten(result)[0], tree_flatten(new)[0], strict=True):
            if isinstance(old, torch.Tensor) and _held(old).data_ptr() != _held(made).data_ptr():
                _held(old).copy_(_held(made))


def _in_place(func: Any) -> bool:
    return bool(func.__name__.split(".")[0].endswith("_"))


def _held(leaf: Any) -> Any:
    return leaf.held if isinstance(leaf, OnAccelerator) else leaf


def _count(func: Any, there: list[Any], here: list[Any], to_device: bool, to_cpu: bool, waits: Counter[str]) -> None:
    if there and func is aten._local_scalar_dense.default:
        waits["a number is read (item, float, bool, if)"] += 1
    if there and func is aten._to_copy.default and to_cpu:
        waits["a tensor is copied to the CPU"] += 1
    if there and here and func is aten.copy_.default:
        waits["a tensor is copied between the devices in place"] += 1
    if there and func in SIZED_BY_DATA:
        waits[f"the size of a result is read ({func.__name__})"] += 1
    if there and func in INDEXING:
        if any(tensor.dtype == torch.bool for tensor in there + here):
            waits["a mask selects rows, whose number is read"] += 1
        if any(tensor.dim() > 0 for tensor in here):
            waits["an index comes from the CPU"] += 1
    if to_device and func is aten._to_copy.default and here and here[0].dim() > 0:
        waits["a copy to the device from pageable memory"] += 1
