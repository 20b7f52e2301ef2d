"""The evaluator's error for people."""


class EvaluationError(Exception):
    """Predictions that cannot be scored, or a table that cannot be written. The message is for a person."""
