"""The loop: runs the phases of any method, and knows none.

It owns the order of batches, the optimiser, the unsupervised stopping rule, the stop on NaN, the warning of dying
clusters, timings, the moments of saving, and resume to the step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Num
from torch import Tensor
from torch.optim import Optimizer

from configs.schema import RunConfig
from engine.checkpoint import LoopState
from engine.errors import Interrupted, TrainingError, UsageError
from engine.health import ClusterWarning, cluster_warning, stability_advice
from engine.interrupt import StopWish
from engine.memory import peak_memory
from engine.observer import Observer
from engine.optimisers import build_optimiser, forget, learning_rate, load_optimiser
from engine.phase_store import PhaseStore
from engine.processes import Processes
from engine.progress import Display
from engine.randomness import derive_seed, epoch_order, seed_all
from engine.sharing import Sharing
from engine.steps import Steps, all_finite
from engine.validation import validation_loss
from engine.whole_batch import see_whole_batch
from methods.base import Method
from parts.phases import FitPhase, GradientPhase, Phase

SCALARS_EVERY = 10
"""Steps between two points of a loss curve."""


@dataclass
class Loop:
    """One run of one method.

    Attributes:
        method: what is run.
        images: the training images. There are no labels here.
        config: of the run.
        processes: device, precision and processes.
        keys: the phases' addresses in the store.
        save: writes a checkpoint of the state and of the optimiser under way; called on the first process alone.
        display: what the user sees.
        observers: told of every step; on the first process alone.
        store: finished phases of earlier runs, or None; see `engine.sharing`.
        validation: images held out of the training set, or None; the losses on them are reported and decide nothing.
        state: where to begin.
    """

    method: Method
    images: Num[Tensor, "n c h w"]
    keys: Sequence[str]
    config: RunConfig
    processes: Processes
    save: Callable[[LoopState, Optimizer | None], None]
    display: Display
    observers: Sequence[Observer] = ()
    store: PhaseStore | None = None
    validation: Num[Tensor, "m c h w"] | None = None
    state: LoopState = field(default_factory=LoopState)

    def run(self, phases: Sequence[Phase], optimiser_state: dict[str, Any] | None = None) -> None:
        """Run `phases` from where the state says, to the end.

        Args:
            phases: the method's phases.
            optimiser_state: of the gradient phase that the state is in the middle of.

        Raises:
            TrainingError: a loss became NaN or infinite.
            Interrupted: the user asked to stop, and the state is saved.
            CheckpointError: the state could not be saved.
        """
        self.method.to(self.processes.device)
        self.method.eval()  # a phase trains its own module alone: after a resume too
        self._saved_at = self._clock = time.perf_counter()
        with StopWish() as self._stop:
            sharing = Sharing(self.store, self.keys, self.processes, self.display, self.state, self._stop)
            for phase in phases[self.state.phase :]:
                self._run_phase(phase, sharing, optimiser_state)
                optimiser_state = None
                self._save_or_stop(None)
        self.display.stop()

    def _run_phase(self, phase: Phase, sharing: Sharing, optimiser_state: dict[str, Any] | None) -> None:
        state = self.state
        phase.module.eval()
        if state.epoch == state.batch == 0:
            # Every phase has its own random stream: it ends alike whether those before it ran here or were shared.
            seed_all(derive_seed(self.config.seed, phase.name))
            sharing.begin()
            with sharing.claimed(phase):
                self._clock = time.perf_counter()  # waiting is nobody's work
                if not sharing.take(phase):
                    self._compute(phase, sharing, optimiser_state)
        else:
            self._compute(phase, sharing, optimiser_state)
        # Before the save: killed in between, a run ends the phase once more and tells of it once more.
        for observer in self.observers:
            observer.phase_finished(phase.name, state.global_step, self.method)
        state.phase += 1
        state.epoch = state.batch = 0
        state.previous, state.changed = None, None
        self._write(None)
        self._clock = time.perf_counter()

    def _compute(self, phase: Phase, sharing: Sharing, optimiser_state: dict[str, Any] | None) -> None:
        """Fit or train from where the state says, and let other runs have the outcome."""
        if isinstance(phase, FitPhase):
            self._fit(phase)
        else:
            self._train(phase, optimiser_state)
        self._tick(phase)
        sharing.keep(phase)

    def _fit(self, phase: FitPhase) -> None:
        self.display.start(phase.name, None)
        if phase.progress is not None:
            phase.progress.listen = self.display.part
        begin = time.perf_counter()
        # A fit can take minutes and saves nothing on its way. Several processes stop together, after it.
        with self._stop.at_once() if self.processes.count == 1 else nullcontext():
            phase.fit()
        seconds = time.perf_counter() - begin
        self.state.history.append({"phase": phase.name, "step": self.state.global_step, "seconds": seconds})
        self.display.finish(f"{phase.name}: done in {seconds:.1f} s")

    def _train(self, phase: GradientPhase, optimiser_state: dict[str, Any] | None) -> None:
        state, fabric = self.state, self.processes.fabric
        batch_size = self._batch_size(phase)
        per_epoch = len(self.images) // batch_size
        see_whole_batch(phase.module, self.processes)
        objective = fabric.setup_module(phase.module)
        optimiser = build_optimiser(phase.module, phase.optimiser)
        if optimiser_state is not None:
            load_optimiser(optimiser, optimiser_state)
        wrapped = fabric.setup_optimizers(optimiser)
        seed = self.config.seed
        images = self.processes.keep(self.images)
        self._steps = Steps(
            phase, objective, wrapped, images, batch_size, self.processes, self.config, self.display.notice
        )
        done = state.epoch * per_epoch + state.batch
        open_ended = phase.finished is not None
        self.display.start(phase.name, phase.epochs * per_epoch, done, phase.epochs, open_ended)
        cycle = phase.epochs // phase.cycles
        while state.epoch < phase.epochs:
            if phase.restart is not None and state.epoch > 0 and state.batch == 0:
                # Nothing is saved between this and the epoch's first step: a resumed run restarts exactly once.
                seed_all(derive_seed(seed, phase.name, "restart", state.epoch))
                objective.eval()  # latents are read without dropout, and move no batch statistics
                forget(optimiser, phase.restart(state.epoch))
            objective.train()
            self._steps.begin_epoch(epoch_order(len(self.images), seed, phase.name, state.epoch))
            self._epoch_clock = time.perf_counter(), state.batch
            while state.batch < per_epoch:
                step = state.epoch * per_epoch + state.batch
                if self._refresh_is_due(phase, step) and self._refresh(phase, step):
                    self._end_epoch(phase, batch_size)
                    self.display.complete()
                    return
                rate = learning_rate(phase.optimiser, step % (cycle * per_epoch), per_epoch, cycle)
                self._steps.take(step, state.epoch, state.batch, rate)
                state.batch += 1
                state.global_step += 1
                reported = step % SCALARS_EVERY == 0
                if reported:
                    self._report_step(phase, step, batch_size, rate)
                # Processes agree by a reduction: not after every step.
                if self.processes.count == 1 or reported or state.batch == per_epoch:
                    self._save_or_stop(optimiser, phase)
            self._end_epoch(phase, batch_size)

    def _count_losses(self) -> dict[str, float]:
        """Add the losses of all steps so far to the epoch's sums; those of the last step."""
        values: dict[str, float] = {}
        for _, values in self._steps.read():
            for name, value in values.items():
                self.state.sums[name] = self.state.sums.get(name, 0.0) + value
        return values

    def _report_step(self, phase: GradientPhase, step: int, batch_size: int, rate: float) -> None:
        """Tell of the step that was just taken."""
        values = self._count_losses()
        begin, first_batch = self._epoch_clock
        seconds = max(time.perf_counter() - begin, 1e-9)
        speed = (self.state.batch - first_batch) * batch_size / seconds
        self.display.advance(step + 1, values["loss"], speed)
        scalars = {**values, "learning_rate": rate, "images_per_second": speed}
        for observer in self.observers:
            named = {f"{phase.name}/{name}": value for name, value in scalars.items()}
            observer.scalars(self.state.global_step - 1, named)

    def _refresh_is_due(self, phase: GradientPhase, step: int) -> bool:
        return phase.refresh is not None and step % phase.refresh_interval == 0

    def _refresh(self, phase: GradientPhase, step: int) -> bool:
        """Refresh the assignments of all images; whether so few changed that the phase is at its end."""
        assert phase.refresh is not None
        state = self.state
        phase.module.eval()
        labels = phase.refresh()
        phase.module.train()
        self._steps.state_changed()
        previous, state.previous = state.previous, labels
        clusters = phase.clusters or int(labels.max()) + 1
        sizes = torch.bincount(labels, minlength=clusters)
        self._warn(phase, cluster_warning(sizes))
        for observer in self.observers:
            observer.refreshed(phase.name, state.global_step, labels, clusters)
        if previous is None:
            return False
        state.changed = float((labels != previous).double().mean())
        for observer in self.observers:
            observer.scalars(state.global_step, {f"{phase.name}/changed": state.changed})
        if phase.finished is not None and (reason := phase.finished()) is not None:
            self._note(phase, f"ended: {reason}")
            return True
        if state.changed >= phase.tol:
            return False
        self._note(phase, f"ended by tol: {state.changed:.3%} of the assignments changed, below {phase.tol:.3%}")
        return True

    def _warn(self, phase: Phase, warning: ClusterWarning | None) -> None:
        """Report dying clusters, once for every new state of theirs."""
        if warning is not None and warning.state != self.state.warning:
            self._note(phase, warning.text)
        self.state.warning = None if warning is None else warning.state

    def _note(self, phase: Phase, notice: str) -> None:
        """Tell the user, and the history."""
        self.display.notice(f"{phase.name}, step {self.state.global_step}: {notice}")
        self.state.history.append({"phase": phase.name, "step": self.state.global_step, "notice": notice})

    def _end_epoch(self, phase: GradientPhase, batch_size: int) -> None:
        """Close the epoch under way, whole or cut short by the stopping rule."""
        phase.module.eval()
        state = self.state
        if state.batch == 0:
            return
        self._count_losses()
        if not all_finite(phase.module.parameters()):
            raise TrainingError(
                f"stopped in phase {phase.name} after epoch {state.epoch + 1}: a weight is NaN or infinite although "
                f"every loss was finite. {stability_advice(phase)}"
            )
        begin, first_batch = self._epoch_clock
        steps, seconds = state.batch - first_batch, max(time.perf_counter() - begin, 1e-9)
        # A resume after an epoch's last step has none of its steps to time.
        speed = {"images_per_second": steps * batch_size / seconds} if steps else {}
        means = {name: total / state.batch for name, total in state.sums.items()}
        changed = {} if state.changed is None else {"changed": state.changed}
        if self.validation is not None and phase.validates:
            seed, device = self.config.seed, self.processes.device
            means["validation_loss"] = validation_loss(phase, self.validation, batch_size, seed, device)
            for observer in self.observers:
                observer.scalars(state.global_step, {f"{phase.name}/validation_loss": means["validation_loss"]})
        row = {**means, **changed, **speed}
        where = {"phase": phase.name, "epoch": state.epoch, "step": state.global_step}
        state.history.append({**where, **row})
        self.display.epoch(phase.name, state.epoch, phase.epochs, row)
        state.epoch, state.batch, state.sums = state.epoch + 1, 0, {}
        for observer in self.observers:
            observer.epoch_finished(phase.name, state.epoch, state.global_step, self.method)

    def _batch_size(self, phase: GradientPhase) -> int:
        """The global batch, at most all images, in equal parts for the processes."""
        count = self.processes.count
        if phase.batch_size % count:
            raise UsageError(
                f"{phase.name}.batch_size is {phase.batch_size}, which {count} processes cannot share equally."
            )
        return min(phase.batch_size, len(self.images) // count * count)

    def _save_or_stop(self, optimiser: Optimizer | None, phase: Phase | None = None) -> None:
        """Save when the last checkpoint is old; save and stop when the user wishes it. All processes agree."""
        old = time.perf_counter() - self._saved_at >= self.config.runtime.checkpoint_seconds
        wishes = torch.tensor([float(self._stop.wished), float(old and self.processes.is_first)])
        stop, save = (self.processes.total(wishes) > 0).tolist()
        if phase is not None and (stop or save):
            self._count_losses()
            self._tick(phase)
            self._write(optimiser)
        if stop:
            self.display.stop()
            raise Interrupted

    def _tick(self, phase: Phase) -> None:
        """Book the time since the last call on `phase`."""
        now = time.perf_counter()
        self.state.seconds[phase.name] = self.state.seconds.get(phase.name, 0.0) + now - self._clock
        self.state.peak_memory = max(self.state.peak_memory, peak_memory(self.processes.device))
        self._clock = now

    def _write(self, optimiser: Optimizer | None) -> None:
        """Save on the first process; when that fails, it fails on all."""
        self.processes.once(lambda: self.save(self.state, optimiser))
        self._saved_at = time.perf_counter()
