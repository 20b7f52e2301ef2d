"""An observer that fills TensorBoard's page. It holds labels of its own, for watching only."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec

import torch
from jaxtyping import Float, Int64, Num, UInt8
from torch import Tensor

from data.image_set import ImageSet
from evaluation.agreement import adjusted_rand_index, normalised_mutual_information
from evaluation.contingency import accuracy, contingency
from evaluation.predictions import sizes
from methods.base import Assignments, EmbeddingMethod, Generative, Method
from report.selection import seeded_draw
from report.tensorboard.background import Background
from report.tensorboard.events import EventFile
from report.tensorboard.guide import GUIDE, LAYOUT, PICTURES, SIZES, WATCH_ONLY, as_code
from report.tensorboard.pictures import in_clusters, in_lines, in_pairs
from report.tensorboard.projector import Projector
from report.tensorboard.undisturbed import undisturbed

WITHOUT_CLUSTERS = frozenset({"pretrain", "represent"})
"""Phases after which a method has a representation, but no clusters yet."""

SCORES = {"acc": accuracy, "nmi": normalised_mutual_information, "ari": adjusted_rand_index}

PROJECTED, RECONSTRUCTED, MEMBERS, COLUMNS = 2000, 20, 10, 10
"""Images in the projector, beside their reconstructions, of every cluster; and in a line."""

P = ParamSpec("P")
logger = logging.getLogger(__name__)


def forgiving(
    write: Callable[Concatenate[TensorBoardObserver, P], None],
) -> Callable[Concatenate[TensorBoardObserver, P], None]:
    """Let `write` fail for want of disk: the observer says so once and is silent from then on."""

    @functools.wraps(write)
    def attempt(self: TensorBoardObserver, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if self.silent:
            return
        try:
            write(self, *args, **kwargs)
        except OSError as error:
            self.fall_silent(error)

    return attempt


class TensorBoardObserver:
    """Losses, cluster sizes, scores, pictures and the embedding projector of one run.

    Networks are asked in the thread of the training, whose weights go on to change. Of what they answer a thread of its
    own makes pictures and files, so the training does not wait for those; `close` does. A run that gets far ahead goes
    without some pictures.

    What happens at the end of an epoch or a phase is dated with the step that was just finished, `step` - 1,
    so that a resume, which repeats the events from its first step on, neither drops nor doubles it.

    Args:
        folder: where the files go; made if need be.
        images: the training images. Their labels, if any, are compared with the assignments; they go nowhere
            else.
        clusters: k.
        first_step: finished steps at the start: above 0 when a run is resumed. At 0 the files of an earlier run
            in `folder` are deleted.
        config: the run's config as text, shown on the page.
        known: (m,), positions of images whose labels the run knows: they are left out of the comparison with labels.
    """

    def __init__(
        self,
        folder: Path,
        images: ImageSet,
        clusters: int,
        first_step: int = 0,
        config: str = "",
        known: Int64[Tensor, " m"] | None = None,
    ) -> None:
        self.folder = folder
        self.silent = False
        self._images = images
        self._clusters = clusters
        self._scored = torch.ones(len(images), dtype=torch.bool)
        if known is not None:
            self._scored[known] = False
        self._assignments: Int64[Tensor, " n"] | None = None
        self._last_pictured: dict[str, int] = {}
        self._drawn = seeded_draw(len(images), PROJECTED)
        self._files = ExitStack()
        self._background = Background()
        self._begin(first_step, config)

    @forgiving
    def _begin(self, first_step: int, config: str) -> None:
        if first_step == 0:
            for file in self.folder.glob("events.out.tfevents.*"):
                file.unlink()  # of an earlier run, over which this one starts anew
        self._events = self._files.enter_context(closing(EventFile(self.folder, first_step)))
        self._beside(lambda: self._begin_projector(first_step))
        self._events.text("guide", GUIDE, first_step)
        if config:
            self._events.text("config", as_code(config), first_step)
        self._events.layout(LAYOUT, first_step)

    @forgiving
    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One point of the curve of every name."""
        self._events.scalars(values, step)

    @forgiving
    def refreshed(self, phase: str, step: int, assignments: Int64[Tensor, " n"], clusters: int) -> None:
        """Sizes of the clusters and, with labels, how well they agree with the classes."""
        self._assignments = assignments
        counts = sizes(assignments, clusters)
        self._events.histogram(f"{SIZES}/images by cluster", counts, step)
        values: dict[str, float] = {
            f"{SIZES}/smallest": float(counts.min()),
            f"{SIZES}/largest": float(counts.max()),
            f"{SIZES}/used": float((counts > 0).sum()),
        }
        if self._images.labels is not None:
            table = contingency(self._images.labels[self._scored], assignments[self._scored])
            values |= {f"{WATCH_ONLY}/{name}": score(table) for name, score in SCORES.items()}
        self._events.scalars(values, step)

    @forgiving
    def epoch_finished(self, phase: str, epoch: int, step: int, method: Method) -> None:
        """Pictures after the epochs 1, 2, 5, 10, 20, 50, …"""
        if is_pictured(epoch):
            self._show_pictures(step - 1, method, has_clusters=finds_clusters(phase))

    @forgiving
    def phase_finished(self, phase: str, step: int, method: Method) -> None:
        """Pictures, and the embedding of a fixed draw of images for the projector."""
        has_clusters = finds_clusters(phase)
        images = self._images.subset(self._drawn)
        with undisturbed(method):
            embedding = method.embed(images.images)
            labels = assigned(method, images.images, embedding).labels if has_clusters else None
        self._show_pictures(max(0, step - 1), method, has_clusters)
        if labels is not None and self._assignments is None and not images.are_points:
            self._show_members(max(0, step - 1), images.images, labels, method.clusters)
        self._beside(lambda: self._project(f"after-{phase}", embedding, images, labels))
        self._assignments = None  # of this phase; the next one may cluster anew

    def close(self) -> None:
        """Wait for what is under way, and close the file. Closing twice does no harm."""
        self._background.finish()
        self._files.close()
        if skipped := self._background.skipped:
            self._background.skipped = 0
            logger.warning("TensorBoard went without pictures %d times: the run was faster than they.", skipped)

    def fall_silent(self, error: Exception) -> None:
        """Say that TensorBoard's files could not be written, and write no more."""
        self.silent = True
        logger.warning(
            "TensorBoard's files in %s cannot be written (%s). The run goes on without them; "
            "free some space, then --resume writes them again.",
            self.folder,
            error,
        )

    def _beside(self, job: Callable[[], None]) -> None:
        """Have `job` done while the training goes on. Whatever goes wrong in it, the run goes on too."""

        def attempt() -> None:
            if self.silent:
                return
            try:
                job()
            except Exception as error:
                self.fall_silent(error)

        self._background.ask(attempt)

    def _begin_projector(self, first_step: int) -> None:
        shown = None if self._images.are_points else self._images.images[self._drawn]
        self._projector = Projector(self.folder, shown, anew=first_step == 0)

    def _project(
        self, name: str, embedding: Float[Tensor, "n d"], images: ImageSet, labels: Int64[Tensor, " n"] | None
    ) -> None:
        columns: dict[str, list[object]] = {}
        if labels is not None:
            columns["cluster"] = [f"cluster {label}" for label in labels.tolist()]
        if images.labels is not None:
            columns["class"] = [images.class_names[label] for label in images.labels.tolist()]
        columns["position"] = list(self._drawn.tolist())
        self._projector.add(name, embedding, columns)

    def _show_pictures(self, step: int, method: Method, has_clusters: bool) -> None:
        if self._images.are_points:
            return
        if isinstance(method, Generative):
            originals = self._images.images[seeded_draw(len(self._images), RECONSTRUCTED)]
            with undisturbed(method):
                decoded = method.reconstruct(originals)
                centroids = method.decoded_centroids() if has_clusters else None
            if decoded is not None:
                self._show("originals above reconstructions", step, partial(in_pairs, originals, decoded, COLUMNS))
            if centroids is not None:
                self._show("decoded centroids", step, partial(in_lines, centroids, COLUMNS))
        if self._assignments is not None:
            self._show_members(step, self._images.images, self._assignments, self._clusters)

    def _show_members(
        self, step: int, images: UInt8[Tensor, "n c h w"], labels: Int64[Tensor, " n"], clusters: int
    ) -> None:
        self._show("members of every cluster", step, partial(in_clusters, images, labels, clusters, MEMBERS))

    def _show(self, name: str, step: int, draw: Callable[[], UInt8[Tensor, "3 height width"]]) -> None:
        if self._last_pictured.get(name) != step:  # the last epoch of a phase ends with the phase
            self._beside(lambda: self._events.image(f"{PICTURES}/{name}", draw(), step))
            self._last_pictured[name] = step


def assigned(method: Method, images: Num[Tensor, "n c h w"], embedding: Float[Tensor, "n d"]) -> Assignments:
    """The method's answer for `images`, from their `embedding` where it follows from that."""
    if isinstance(method, EmbeddingMethod):
        return method.assign_embedded(embedding)
    return method.assign(images)


def finds_clusters(phase: str) -> bool:
    """Whether there are clusters after this phase: not after "pretrain" or "represent-umap"."""
    return phase.partition("-")[0] not in WITHOUT_CLUSTERS


def is_pictured(epoch: int) -> bool:
    """Whether `epoch`, from 1, is one of 1, 2, 5, 10, 20, 50, 100, …"""
    while epoch % 10 == 0:
        epoch //= 10
    return epoch in (1, 2, 5)
