"""A file of TensorBoard events."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]
from torch import Tensor
from torch.utils.tensorboard import summary as untyped_summary

from system.names import printable

_number = itertools.count()

# Builds the protocol buffers. PyTorch gives these functions no types.
_summary: Any = untyped_summary


class EventFile:
    """Writes events as they come: what is written survives a kill, and a full disk is noticed at once.

    `torch.utils.tensorboard.SummaryWriter` writes from a thread of its own: points wait there for up to two
    minutes, and a full disk ends the thread with a traceback.

    Several threads may write.

    Args:
        folder: where the file is made, and the folder itself if need be.
        first_step: earlier files' events at this step and later are no longer shown, since a resumed run
            reports them again.

    Raises:
        OSError: here and in every method, when the disk refuses.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard finds files by "tfevents", and reads them in the order of their names.
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}.{next(_number)}"
        self._file = (folder / name).open("xb")
        self._records = RecordWriter(self._file)
        self._one_at_a_time = threading.Lock()
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """One point of the curve of every tag in `values`."""
        points = [point for tag, value in values.items() for point in _summary.scalar(tag, value).value]
        self._write(Event(step=step, summary=Summary(value=points)))

    def histogram(self, tag: str, counts: Int64[Tensor, " bins"], step: int) -> None:
        """A bar around every number from 0, as high as that entry of `counts`."""
        numbers = torch.arange(len(counts))
        bars = _summary.histogram_raw(
            tag,
            min=-0.5,
            max=len(counts) - 0.5,
            num=int(counts.sum()),
            sum=int((counts * numbers).sum()),
            sum_squares=int((counts * numbers**2).sum()),
            bucket_limits=(numbers + 0.5).tolist(),
            bucket_counts=counts.tolist(),
        )
        self._write(Event(step=step, summary=bars))

    def image(self, tag: str, picture: UInt8[Tensor, "3 height width"], step: int) -> None:
        """A picture in colour."""
        self._write(Event(step=step, summary=_summary.image(tag, picture, dataformats="CHW")))

    def text(self, tag: str, markdown: str, step: int) -> None:
        """A page of text in Markdown; names in it may be any."""
        self._write(Event(step=step, summary=_summary.text(tag, printable(markdown, keep="\n"))))

    def layout(self, layout: Mapping[str, Mapping[str, list[Any]]], step: int) -> None:
        """Charts of several curves: category -> title -> ["Multiline", [regular expressions of tags]]."""
        self._write(Event(step=step, summary=_summary.custom_scalars(layout)))

    def close(self) -> None:
        """Close the file. Closing twice does no harm."""
        self._file.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        try:
            with self._one_at_a_time:
                self._records.write(event.SerializeToString())
                self._file.flush()
        except OSError:
            with suppress(OSError):  # the same one again, for what is still in the buffer
                self._file.close()
            raise
