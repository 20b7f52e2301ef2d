"""Every training and comparing command in README, pages and configs is one that the program takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from glob import glob
from pathlib import Path

import pytest
import typer

import compare
import train
from configs.load import default_config
from configs.text_yaml import parse_text
from engine.run_folder import default_folder
from methods.registry import METHOD_NAMES, METHODS
from methods.resolve import resolve_config
from report.comparison.over_k import parse_k, plan_over_k
from report.comparison.plan import parse_grid, parse_seeds, plan
from report.comparison.recorded import read_rows

ROOT = Path(__file__).resolve().parents[1]
COMMAND = re.compile(r"python ((?:train|compare)\.py(?:\\\n#? *|[^`#\n→])*)")
PLACEHOLDERS = {"S": "0", "P": "2", "N": "1", "NAME": "dec", "SETTING": "cluster.epochs=1"}
"""What stands for a reader's own choice."""
COMMANDS = {f"{command.__name__}.py": typer.main.get_command(command.app) for command in (train, compare)}


def documented() -> Iterator[tuple[str, str, list[str]]]:
    """Every command once: a page that it stands on, the script, its arguments."""
    known: list[list[str]] = []
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "configs").rglob("*.yaml")]
    for page in sorted(pages):
        for match in COMMAND.finditer(page.read_text("utf-8")):
            script, *words = shlex.split(re.sub(r"\\\n#? *", "", match[1]).rstrip(" .,;:)*"))
            words = [re.sub(r"\b[A-Z]+\b", lambda word: PLACEHOLDERS.get(word[0], word[0]), word) for word in words]
            words = [re.sub(r"\$[a-z]", "0", word) for word in words]  # a loop's
            if [script, *words] not in known:
                known.append([script, *words])
                yield str(page.relative_to(ROOT)), script, words


def test_no_shell_puts_the_home_folder_into_a_setting() -> None:
    """Unquoted, bash reads `--set layout=~` as `--set layout=/home/me`: `null` says the same to every shell."""
    changed = re.compile(r"(?<!['\".\w])[A-Za-z_]\w*=~")
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "configs").rglob("*.yaml")]
    found = [str(page.relative_to(ROOT)) for page in pages if changed.search(page.read_text("utf-8"))]
    assert not found
    assert changed.search("`--set layout=~`")


def take(script: str, words: list[str]) -> None:
    """Read the command as the program does, up to where it would begin to work."""
    asked = COMMANDS[script].make_context(script, list(words)).params
    if script == "train.py":
        flags = {"data.name": asked["data"], "clusters": asked["clusters"], "seed": asked["seed"]}
        config = asked["config"] and Path(asked["config"])
        resolve_config(asked["method"], config, asked["set_"] or [], flags)
    else:
        recorded = [row for file in asked["recorded"] or [] for row in read_rows(ROOT / file)]
        systems = [file for system in asked["systems"] or [] for file in sorted(glob(system)) or [system]]
        settings, grid = asked["set_"] or [], parse_grid(asked["grid"] or [])
        seeds = parse_seeds(asked["seeds"] or "5")
        if asked["k"]:
            assert plan_over_k(systems, parse_k(asked["k"]), seeds, settings, asked["data"], lambda config: 1000)
            return
        runs = plan(systems, seeds, settings, grid, asked["data"], asked["split"] or [])
        assert runs or recorded, "it compares nothing"


def test_every_command_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    parsed = cache(parse_text)  # the same few files stand behind most commands
    monkeypatch.setattr("configs.load.parse_text", lambda text: deepcopy(parsed(text)))
    refused = []
    commands = [*documented()]
    for page, script, words in commands:
        try:
            take(script, words)
        except (Exception, SystemExit) as error:
            refused.append(f"{page}: {script} {' '.join(words)}\n  {type(error).__name__}: {error}")
    assert not refused, "\n".join(refused)
    assert len(commands) > 80


def commented() -> Iterator[tuple[str, str, str]]:
    """Every command with a comment: its page, the command, the comment."""
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
        for line in page.read_text("utf-8").splitlines():
            if found := re.match(r" {4}(python .*?)\s+# (.*)", line):
                yield str(page.relative_to(ROOT)), found[1], found[2]


def test_what_comments_say_of_commands_is_so() -> None:
    """Configs and methods that they name are there, folders are where a run goes, numbers are counted."""
    wrong = []
    for page, command, comment in commented():
        for name in re.findall(r"configs/[\w./-]+\.yaml", comment):
            if not (ROOT / name).is_file():
                wrong.append(f"{page}: {name} is not there")
            elif (method := re.search(r"--method (\S+)", command)) and default_config(method[1])[1] != str(ROOT / name):
                wrong.append(f"{page}: {method[1]} is not configured by {name}")
        if folder := re.search(r"(checkpoints/[\w-]+)/", comment):
            config = resolve_config(re.findall(r"--method (\S+)", command)[0], None, [], {})
            if default_folder(config) != ROOT / folder[1]:
                wrong.append(f"{page}: the run goes to {default_folder(config)}")
        if count := re.match(r"(\d+) systems", comment):
            files = glob(str(ROOT / re.findall(r"configs/\S+", command)[0]))
            if len(files) != int(count[1]):
                wrong.append(f"{page}: {len(files)} systems")
    assert not wrong, "\n".join(wrong)
    assert len([*commented()]) > 15


def test_the_readme_counts_its_methods_and_every_row_of_its_table_can_be_typed() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert f"{len(METHOD_NAMES)} two-stage baselines" in text
    listed = re.search(r"methods of the literature \(([^)]*)\)", text)
    assert listed is not None
    names = {name.strip().lower() for name in re.split(r",|\band\b", listed[1].replace("\n", " "))}
    assert names == METHODS.keys() - set(METHOD_NAMES) - {"pace"}
    rows = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    assert len(rows) == 5
    assert set(rows) <= METHODS.keys()
