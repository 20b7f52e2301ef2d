"""A whole run on classes and folders of names that no encoding has, in terminals of several encodings."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from typer.testing import CliRunner, Result

import eval
import explore
import report.figures
import train
from report.figures.cluster_sizes import cluster_sizes
from report.figures.confusion import confusion

LATIN = os.fsdecode(b"latin\xe9")
CLASSES = {
    LATIN: r"latin\xe9",
    "a\nb": r"a\nb",
    "t\tb": r"t\tb",
    "ねこ": "ねこ",
    "🐱": "🐱",
    "$x$ [red]:cat:": "$x$ [red]:cat:",
}
FORMATS = ("table", "markdown", "csv", "json", "latex")


def pictures(folder: Path, shade: int) -> None:
    folder.mkdir(parents=True)
    noise = np.random.default_rng(shade).integers(shade, shade + 20, (4, 6, 6), dtype=np.uint8)
    for number, image in enumerate(noise):
        Image.fromarray(image).save(folder / f"{number}.png")


def invoke(app: object, *arguments: object, encoding: str) -> Result:
    result = CliRunner(charset=encoding).invoke(app, [str(a) for a in arguments], env={"COLUMNS": "80"})  # type: ignore[arg-type]
    assert result.exit_code == 0, (arguments, result.exception, result.stderr)
    return result


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a name that is not UTF-8, with such classes in it."""
    folder = tmp_path_factory.mktemp("odd") / f"set\n{LATIN}"
    try:
        for shade, name in enumerate(CLASSES):
            pictures(folder / name, 40 * shade)
    except OSError:
        pytest.skip("this file system has UTF-8 names alone")
    return folder


@pytest.fixture(scope="module")
def checkpoint(data: Path) -> Path:
    """Trained in a terminal that has ASCII alone, into such a folder."""
    out = data.parent / f"run é {LATIN}"
    arguments = ("--method", "raw-kmeans", "--data", data, "--clusters", 3, "--out", out, "--no-share")
    done = invoke(train.app, *arguments, encoding="ascii")
    path = out / "checkpoint.pt"
    assert done.stdout_bytes == os.fsencode(path) + os.linesep.encode()
    assert path.is_file()
    return path


def test_the_projector_names_every_class(checkpoint: Path) -> None:
    (metadata,) = (checkpoint.parent / "tb").rglob("*metadata.tsv")
    lines = [line.split("\t") for line in metadata.read_text("utf-8").splitlines()]
    assert lines[0] == ["cluster", "class", "position"]
    assert {row[1] for row in lines[1:]} == set(CLASSES.values())
    assert len(lines) == 1 + 4 * len(CLASSES)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_gets_out_and_into_files(checkpoint: Path, tmp_path: Path, encoding: str, format: str) -> None:
    printed = invoke(eval.app, checkpoint, "--format", format, encoding=encoding)
    file = tmp_path / "table"
    invoke(eval.app, checkpoint, "--format", format, "--output", file, encoding=encoding)
    name = r"set\nlatin\xe9"
    shown = {"markdown": name.replace("\\", r"\\"), "latex": name.replace("\\", r"\textbackslash{}")}
    for text in (printed.stdout_bytes.decode(encoding), file.read_text("utf-8")):
        folded = "".join(text.split()) if format == "table" else text
        if format == "json":
            assert json.loads(text)["data"].endswith(name)
        elif format == "csv":
            (row,) = csv.DictReader(io.StringIO(text))
            assert row["data"].endswith(name)
            assert len(text.splitlines()) == 2
        else:
            assert shown.get(format, name) in folded
    if encoding == "utf-8":
        assert printed.stdout == file.read_text("utf-8")


@pytest.mark.parametrize(("encoding", "cat"), [("ascii", "neko"), ("cp1252", "neko"), ("utf-8", "ねこ")])
def test_explore_tells_every_class(data: Path, encoding: str, cat: str) -> None:
    lines = invoke(explore.app, data, encoding=encoding).stdout_bytes.decode(encoding).splitlines()
    rows = {line.rsplit(maxsplit=5)[0]: len(line) for line in lines if line.endswith(("0.022", "0.023", "0.021"))}
    assert {r"latin\xe9", r"a\nb", r"t\tb", cat, "$x$ [red]:cat:"} <= set(rows)
    if encoding != "utf-8":  # there a character of two columns is one of the string
        assert len(set(rows.values())) == 1, rows


def test_figures_show_all_names_and_warn_of_none(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning of a glyph that no font has would be an error here, and the figure would be missing."""
    drawn: dict[str, Figure] = {}

    def kept(predictions: report.figures.Predictions) -> Figure | None:
        drawn["confusion"] = confusion(predictions)  # type: ignore[assignment]
        return drawn["confusion"]

    only: Mapping[str, object] = {"confusion": kept, "cluster_sizes": cluster_sizes}
    monkeypatch.setattr(report.figures, "FIGURES", only)
    done = invoke(eval.app, checkpoint, "--figures", tmp_path, encoding="ascii")
    assert "(2 files)" in done.stderr
    names = [label.get_text().rsplit("  ", 1)[0] for label in drawn["confusion"].axes[0].get_yticklabels()]
    assert names[:4] == [r"\$x\$ [red]:cat:", r"a\nb", r"latin\xe9", r"t\tb"]
    assert names[4] in ("ねこ", "neko")
    assert names[5] in ("🐱", ":cat face:")
