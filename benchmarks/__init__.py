"""Measurements that are not tests: each a script of its own, whose figures docs/benchmarks.md has."""

from system.streams import take_any_text

take_any_text()  # of every script here: their tables have ± and ×
