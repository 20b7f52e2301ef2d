"""Pictures beside the training: in order, never in its way, and without a trace in it."""

from __future__ import annotations

import copy
import logging
import threading
from pathlib import Path

import pytest
import torch

from engine.randomness import generator_states
from report.tensorboard import page
from report.tensorboard.background import Background
from report.tensorboard.page import TensorBoardObserver
from tests.test_monitoring import ASSIGNED, Decoding, K, image_set, points, read, run

PAIRS = "pictures/originals above reconstructions"
WAIT = 20.0
"""Seconds after which a test would fail instead of standing still."""


class Held:
    """A function that waits until it may go on."""

    def __init__(self, function, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_go_on = threading.Event()

        def held(*arguments):
            assert self.may_go_on.wait(WAIT)
            return function(*arguments)

        monkeypatch.setattr(page, function.__name__, held)


def test_jobs_are_done_in_order_and_those_beyond_the_bound_are_skipped() -> None:
    background, begin, done = Background(most=3), threading.Event(), []
    background.ask(lambda: done.append(begin.wait(WAIT)))
    for number in range(5):
        background.ask(lambda number=number: done.append(number))
    assert (done, background.skipped) == ([], 3)
    begin.set()
    background.finish()
    assert done == [True, 0, 1]
    background.finish()


def test_the_training_does_not_wait_for_pictures_and_its_end_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(page.in_pairs, monkeypatch)
    observer, method = TensorBoardObserver(tmp_path, image_set(), K), Decoding()
    observer.epoch_finished("pretrain", 1, 10, method)
    observer.scalars(10, {"pretrain/loss": 2.0})
    observer.epoch_finished("pretrain", 2, 20, method)
    assert PAIRS not in read(tmp_path).Tags()["images"]
    assert points(tmp_path, "pretrain/loss") == [(10, 2.0)]
    held.may_go_on.set()
    observer.close()
    assert [event.step for event in read(tmp_path).Images(PAIRS)] == [9, 19]


def test_pictures_show_what_was_there_when_they_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(TensorBoardObserver(tmp_path / "at once", image_set(), K), changing := Decoding())
    held = Held(page.in_pairs, monkeypatch)
    observer = TensorBoardObserver(tmp_path / "later", image_set(), K)
    observer.epoch_finished("pretrain", 1, 10, changing)
    with torch.no_grad():
        changing.layer.weight.zero_()
    changing.reconstruct = lambda images: images * 0  # type: ignore[method-assign]
    held.may_go_on.set()
    observer.close()
    first = [read(tmp_path / name).Images(PAIRS)[0].encoded_image_string for name in ("at once", "later")]
    assert first[0] == first[1]


def test_an_error_in_a_picture_costs_pictures_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: object) -> None:
        raise ValueError("no such tile")

    monkeypatch.setattr(page, "in_pairs", failing)
    with caplog.at_level(logging.WARNING):
        run(TensorBoardObserver(tmp_path, image_set(), K), Decoding())
    assert len(caplog.messages) == 1
    assert "no such tile" in caplog.messages[0]


def test_a_run_that_is_far_ahead_goes_without_some_and_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    held = Held(page.in_pairs, monkeypatch)
    observer, method = TensorBoardObserver(tmp_path, image_set(), K), Decoding()
    observer._background.finish()  # that of the projector is done
    observer._background = Background(most=3)
    for decade in range(5):
        observer.epoch_finished("pretrain", 10**decade, 10**decade, method)
    held.may_go_on.set()
    with caplog.at_level(logging.WARNING):
        observer.close()
        observer.close()
    assert caplog.messages == ["TensorBoard went without pictures 2 times: the run was faster than they."]
    assert [event.step for event in read(tmp_path).Images(PAIRS)] == [0, 9, 99]


def test_the_thread_draws_from_no_global_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the observer asks of a method it puts back; what a thread draws, nobody could."""
    held = Held(page.in_pairs, monkeypatch)
    observer, method = TensorBoardObserver(tmp_path, image_set(), K), Decoding()
    observer.refreshed("cluster", 0, ASSIGNED, K)
    observer.epoch_finished("cluster", 1, 10, method)
    observer.phase_finished("cluster", 10, method)
    before = copy.deepcopy(generator_states())
    held.may_go_on.set()
    observer.close()
    after = generator_states()
    assert torch.equal(before["torch"], after["torch"])
    assert before["python"] == after["python"]
    assert torch.equal(before["numpy"][0], after["numpy"][0])
    assert before["numpy"][1:] == after["numpy"][1:]
