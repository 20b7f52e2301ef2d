"""Measurements that are not tests: each a script of its own, whose figures docs/benchmarks.md has."""
