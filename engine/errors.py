"""What can end a run early. Every message is for the person at the terminal."""

from __future__ import annotations


class UsageError(Exception):
    """What was asked for does not go together, or not on this machine."""


class TrainingError(Exception):
    """The training cannot go on: a loss is not finite, the disk is full."""


class CheckpointError(Exception):
    """A checkpoint that cannot be written, read or continued."""


class Interrupted(Exception):
    """The user asked to stop, and the state is saved."""
