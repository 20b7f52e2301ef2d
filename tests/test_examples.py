"""The notebook runs from its first cell to its last, and is committed as it looks afterwards.

After a change of it, with Jupyter's nbconvert and ipykernel installed:

    jupyter nbconvert --to notebook --execute --inplace --ClearMetadataPreprocessor.enabled=True \\
        --ClearMetadataPreprocessor.clear_notebook_metadata=False examples/clusters.ipynb
"""

from __future__ import annotations

import ast
import json
import os
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.forked import answer
from tests.runs import ROOT

NOTEBOOK = ROOT / "examples" / "clusters.ipynb"


def code_cells() -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


def run_cells(folder: str) -> dict[str, Any]:
    """Every code cell in one fresh namespace, as Jupyter runs them; figures are drawn, and warnings are errors."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    os.chdir(folder)
    warnings.simplefilter("error", UserWarning)
    namespace: dict[str, Any] = {}
    figures, last = 0, None
    for cell in code_cells():
        tree = ast.parse("".join(cell["source"]))
        ending = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, NOTEBOOK.name, "exec"), namespace)
        if isinstance(ending, ast.Expr):
            last = eval(compile(ast.Expression(ending.value), NOTEBOOK.name, "eval"), namespace)
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
            plt.close(number)
            figures += 1
    return {"figures": figures, "last": bool(last), "table": dict(namespace["table"])}


@pytest.mark.forks
def test_it_runs(tmp_path: Path) -> None:
    found = answer(run_cells, str(tmp_path))
    assert found["figures"] == 5
    assert found["last"]  # what is loaded says the same as what was saved
    assert found["table"]["acc"] > 0.6
    assert (found["table"]["n"], found["table"]["protocol"]) == (1500, "transductive")


def test_it_is_committed_with_its_outputs_and_nothing_of_the_machine() -> None:
    text = NOTEBOOK.read_text("utf-8")
    notebook = json.loads(text)
    assert len(notebook["cells"]) == 10
    assert [cell["execution_count"] for cell in code_cells()] == list(range(1, len(code_cells()) + 1))
    assert all(cell["outputs"] for cell in code_cells())
    outputs = [output for cell in code_cells() for output in cell["outputs"]]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 5
    assert {output.get("name") for output in outputs} == {None, "stdout"}  # no warnings, no errors
    assert {output["output_type"] for output in outputs} == {"display_data", "execute_result", "stream"}
    assert not re.search(
        r"/(?:home|root|tmp|work|usr|Users)\b|\b20\d\d-\d\d-\d\d|\bid\"", re.sub(r'"image/png": "[^"]*"', "", text)
    )
    assert not any(holder["metadata"] for holder in notebook["cells"])
    assert len(text) < 300_000
