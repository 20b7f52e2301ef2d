"""The folder where runs stand by default, and where they share finished phases."""

from __future__ import annotations

from pathlib import Path

from engine.phase_store import PhaseStore

CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"


def shared_phases() -> PhaseStore:
    """Where runs find the finished phases of others: beside them."""
    return PhaseStore(CHECKPOINTS / "phases")
