"""Runs side by side: each trains and is scored in processes of its own, and what fails costs no other run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from report.comparison.plan import Run
from system.lock import locked
from system.names import printable

ROOT = Path(__file__).resolve().parents[2]

INTERRUPTED = 130


@dataclass
class Schedule:
    """The runs that are still to be made.

    Attributes:
        runs: all of them.
        jobs: how many at a time.
        threads: of each.
        say: tells the user a line.
        data_root: where the data sets are kept.
        failures: by run: what went wrong, for people.
    """

    runs: Sequence[Run]
    jobs: int
    threads: int
    say: Callable[[str], None]
    data_root: Path | None = None
    failures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._finished = 0

    def carry_out(self) -> None:
        """Train and score what is not yet done.

        Raises:
            KeyboardInterrupt: the user stopped it; the runs under way have saved their state.
        """
        to_do = [run for run in self.runs if not run.is_complete]
        done = len(self.runs) - len(to_do)
        if done:
            self.say(f"{done} of {len(self.runs)} runs are done already")
        if not to_do:
            return
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with ThreadPoolExecutor(self.jobs) as pool:
                futures = [pool.submit(self._carry_out, run, len(to_do)) for run in to_do]
                try:
                    for future in futures:
                        future.result()
                except KeyboardInterrupt:
                    self._stop()
                    pool.shutdown(cancel_futures=True)
                    raise
        finally:
            signal.signal(signal.SIGTERM, before)

    def _carry_out(self, run: Run, total: int) -> None:
        if self._stopped.is_set():
            return  # stopped before its turn: it leaves no folder
        begin = time.perf_counter()
        try:
            self._wait_for_other(run)
            begin = time.perf_counter()
            problem = self._make(run)
        except OSError as error:
            problem = f"{run.folder}: {error.strerror or error}"
        if self._stopped.is_set():
            return
        with self._lock:
            self._finished += 1
            if problem is not None:
                self.failures[run.name] = problem
            outcome = "failed" if problem else f"{time.perf_counter() - begin:.0f} s"
            self.say(f"[{self._finished:>{len(str(total))}}/{total}] {run.name}: {outcome}")

    def _make(self, run: Run) -> str | None:
        """Train and score what is missing of a run; what went wrong, or None."""
        problem = None if run.is_trained() else self._call(train_command(run, self.data_root), run)
        if problem is not None:
            # Another comparison may have begun it in the same moment.
            self._wait_for_other(run)
            problem = None if run.is_trained() else problem
        for split in run.splits:
            if problem is None and not run.is_scored(split):
                problem = self._call(score_command(run, split, self.data_root), run)
        if problem is None and run.answers and not run.has_answered:
            problem = self._call(answer_command(run, self.data_root), run)
        return problem

    def _wait_for_other(self, run: Run) -> None:
        """A comparison that was killed leaves its runs under way: they end by themselves and need not be made again."""
        notice = [f"{run.name}: waiting for a command that trains it already"]

        def wait() -> bool:
            while notice:
                self.say(notice.pop())
            time.sleep(1)
            return not self._stopped.is_set()

        with locked(run.lock, wait):
            return

    def _call(self, command: Sequence[str], run: Run) -> str | None:
        """Run one command, its words in the run's log; what went wrong, or None."""
        log = run.folder / "log.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as file:
            file.write(f"$ {printable(' '.join(command[1:]))}\n".encode())
            file.flush()
            begin = file.tell()
            with self._lock:
                if self._stopped.is_set():
                    return "stopped"
                # A session of its own: Ctrl-C reaches the child through `_stop`, once.
                child = subprocess.Popen(
                    command, stdout=file, stderr=file, env=self._environment(), start_new_session=True
                )
                self._children.add(child)
            code = child.wait()
            with self._lock:
                self._children.discard(child)
        if code == 0:
            return None
        said = log.read_bytes()[begin:].decode(errors="replace").strip().splitlines()
        return f"exit code {code}; {said[-1] if said else 'no message'}\n  all of it: {log}"

    def _environment(self) -> dict[str, str]:
        threads = {name: str(self.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
        return {**os.environ, **threads, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}  # of the log

    def _stop(self) -> None:
        """Ask the runs under way to save their state and end, and wait for them."""
        self.say("stopping: the runs under way save their state …")
        with self._lock:
            self._stopped.set()
            children = list(self._children)
        for child in children:
            child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait()


def train_command(run: Run, data_root: Path | None) -> list[str]:
    """The command that begins the run, or goes on with it."""
    is_file = run.source.endswith((".yaml", ".yml"))
    settings = [part for assignment in run.assignments for part in ("--set", assignment)]
    return [
        sys.executable, str(ROOT / "train.py"), "--config" if is_file else "--method", run.source, *settings,
        "--data", run.config.data.name, "--seed", str(run.config.seed), "--out", str(run.folder), "--resume",
        *_root(data_root),
    ]  # fmt: skip


def score_command(run: Run, split: str, data_root: Path | None) -> list[str]:
    """The command that scores one split of the finished run, as one line of JSON into `run.scores(split)`."""
    forests = run.config.report is not None and run.config.report.classify and split == "test"
    classify = ["--classify", "add", "--classify", "replace"] if forests else []
    return [
        sys.executable, str(ROOT / "eval.py"), str(run.checkpoint), "--split", split, "--format", "json",
        "--output", str(run.scores(split)), "--no-neighbours", *classify, *_root(data_root),
    ]  # fmt: skip


def answer_command(run: Run, data_root: Path | None) -> list[str]:
    """The command that writes the finished run's cluster of every image of its split into `run.clusters_of_all`."""
    return [
        sys.executable, str(ROOT / "predict.py"), str(run.checkpoint), run.config.data.name, "--split",
        run.config.data.split, "--output", str(run.clusters_of_all), *_root(data_root),
    ]  # fmt: skip


def _root(data_root: Path | None) -> list[str]:
    return [] if data_root is None else ["--data-root", str(data_root)]
