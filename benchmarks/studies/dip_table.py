"""Makes estimators/dip_table.py: `OMP_NUM_THREADS=1 python -m benchmarks.studies.dip_table` (some minutes on one CPU).

For each n, the dips of many samples of n uniform values. A quantile at probability P has P·samples of them below it, so
that P is good to √(P(1 - P) / samples).
"""

from __future__ import annotations

import math
from pathlib import Path
from textwrap import wrap
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Float64

from estimators.dip import dip

FILE = Path(__file__).resolve().parents[2] / "estimators" / "dip_table.py"
SIZES = (4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 30, 50, 75, 100, 150, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
PROBABILITIES = (
    *(0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
    *(0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 0.9995, 1.0),
)
HEAD = '''"""Quantiles of √n · dip among samples of n uniform values; benchmarks/studies/dip_table.py makes this file.

{samples:,} samples for each n, from numpy's default generator with the seed n.
"""

# fmt: off
PROBABILITIES = (
{probabilities}
)
QUANTILES: dict[int, tuple[float, ...]] = {{
{rows}
}}
'''


def simulated(n: int, samples: int, seed: int) -> Float64[np.ndarray, " samples"]:
    """√n · dip of so many samples of n uniform values, ascending."""
    generator = np.random.default_rng(seed)
    return np.sort([math.sqrt(n) * dip(generator.random(n)) for _ in range(samples)])


def main(samples: Annotated[int, typer.Option(help="For each n.")] = 20_000) -> None:
    """Simulate, and write the table."""
    rows = []
    for n in SIZES:
        found = np.quantile(simulated(n, samples, seed=n), PROBABILITIES)
        found[0] = math.sqrt(n) / (2 * n)  # no dip is smaller
        rows.append(f"    {n}: (\n{_lines(found, 8)}\n    ),")
        print(n, flush=True)
    FILE.write_text(
        HEAD.format(samples=samples, probabilities=_lines(np.array(PROBABILITIES), 4), rows="\n".join(rows))
    )


def _lines(numbers: Float64[np.ndarray, " n"], indent: int) -> str:
    text = ", ".join(f"{number:.5g}" for number in numbers) + ","
    return "\n".join(" " * indent + line for line in wrap(text, 118 - indent))


if __name__ == "__main__":
    typer.run(main)
