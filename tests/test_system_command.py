"""How commands begin and end: imports that can be interrupted, any encoding, no empty argument, Ctrl-C."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

import compare
import eval
import explore
import predict
import train
from data import fetch, kept_images, mnist_5000
from engine.progress import Display
from system.command import App
from system.streams import say
from tests.runs import ROOT, call, run

APPS = {
    "train": train.app,
    "eval": eval.app,
    "explore": explore.app,
    "compare": compare.app,
    "predict": predict.app,
    "data.fetch": fetch.app,
    "data.kept_images": kept_images.app,
    "data.mnist_5000": mnist_5000.app,
}

ASIDE = ("benchmarks", "tests", ".venv", "build")


def commands() -> list[Path]:
    """The files that a person starts, but for scripts of benchmarks."""
    found = [
        *ROOT.glob("*.py"),
        *(file for file in ROOT.glob("*/**/*.py") if file.parts[len(ROOT.parts)] not in ASIDE),
    ]
    return [file for file in found if 'if __name__ == "__main__"' in file.read_text()]


def test_every_command_begins_and_ends_alike() -> None:
    """Before all other imports what makes Ctrl-C quiet, at the end the app, and no app of another kind."""
    files = commands()
    assert len(files) == len(APPS)
    wrong = []
    for file in files:
        body = ast.parse(file.read_text()).body
        first = [ast.unparse(node) for node in body[1:4]]
        begins = first == [
            "from __future__ import annotations",
            "from system.start import quiet_imports",
            "if __name__ == '__main__':\n    quiet_imports()",
        ]
        ends = ast.unparse(body[-1]) == "if __name__ == '__main__':\n    app()"
        if not (begins and ends and "app = App()" in file.read_text()):
            wrong.append(file.name)
    assert wrong == []


def test_names_enter_tables_and_messages_by_one_way_each() -> None:
    ways = {".add_row(": ["report/terminal.py"], "Console(": ["report/terminal.py", "system/streams.py"]}
    files = [*ROOT.glob("*.py"), *(file for file in ROOT.glob("*/**/*.py") if file.parts[len(ROOT.parts)] not in ASIDE)]
    for call_, allowed in ways.items():
        users = sorted(file.relative_to(ROOT).as_posix() for file in files if call_ in file.read_text())
        assert users == allowed, call_


def test_what_is_imported_before_ctrl_c_is_quiet_is_small() -> None:
    code = "import sys; before = set(sys.modules); import system.start; print(len(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 10


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_during_imports_says_nothing() -> None:
    code = "import time, system.start as s; s.quiet_imports(); print('begun', flush=True); time.sleep(30)"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=20) == ("", "")
    assert child.returncode == -signal.SIGINT  # which a shell shows as 130


def made(body: object) -> App:
    app = App()

    @app.command()
    def main(name: Annotated[str, typer.Argument()] = "x", out: Annotated[Path | None, typer.Option()] = None) -> None:
        """A command → of ± tests."""
        body(name)  # type: ignore[operator]

    return app


def test_ctrl_c_ends_with_130_and_a_line() -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    done = call(made(interrupted))
    assert (done.exit_code, done.stdout, done.stderr) == (130, "", "interrupted.\n")
    assert signal.getsignal(signal.SIGINT) == before


def test_a_command_can_be_interrupted_once_its_imports_are_made() -> None:
    handlers = []
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        call(made(lambda name: handlers.append(signal.getsignal(signal.SIGINT))))
        handlers.append(signal.getsignal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert handlers == [signal.default_int_handler, signal.SIG_DFL]


@pytest.mark.parametrize("arguments", [["--out", ""], ["--out="], [""], ["x", "--out", ""]])
def test_an_empty_argument_is_refused_by_every_command(arguments: list[str]) -> None:
    for name, app in {**APPS, "made": made(print)}.items():
        done = call(app, *arguments)
        assert done.exit_code == 2, name
        assert done.stdout == ""
        what = "--out: received nothing" if arguments != [""] else "received an empty argument"
        assert done.stderr.startswith(f"{what}. Give a value"), name


def test_a_setting_may_be_empty_and_a_dash_is_an_argument() -> None:
    names: list[str] = []
    assert call(made(names.append), "a=").exit_code == 0
    assert call(made(names.append), "--", "--b").exit_code == 0
    assert names == ["a=", "--b"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_help_and_messages_get_out_in_80_columns(encoding: str) -> None:
    runner = CliRunner(charset=encoding)
    for name, app in {**APPS, "made": made(print)}.items():
        done = runner.invoke(app, ["--help"], env={"COLUMNS": "80"})
        assert done.exit_code == 0, (name, done.exception)
        lines = done.stdout_bytes.decode(encoding).splitlines()
        assert "Usage" in lines[1]
        # "made" has a character that ASCII writes with two; the commands' own help has none.
        assert max(map(len, lines)) <= (80 if name != "made" else 84), name
        refused = runner.invoke(app, ["--nonsense"], env={"COLUMNS": "80"})
        assert refused.exit_code == 2, (name, refused.exception)
        assert "--nonsense" in refused.stderr_bytes.decode(encoding)


def test_what_is_said_is_said_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither markup nor emoji codes of rich are looked for in names, and no line is broken."""
    say(f"/data/[red]:cat:{'x' * 100}\udce9\x1b[2J\nsecond line")
    Display().notice("[red]:cat: \udce9")
    assert capsys.readouterr().err.splitlines() == [
        f"/data/[red]:cat:{'x' * 100}\\xe9\\x1b[2J",
        "second line",
        r"[red]:cat: \xe9",
    ]


def test_a_name_of_any_kind_is_printed() -> None:
    done = CliRunner(charset="cp1252").invoke(made(print), ["ねこ±\udce9"])
    assert done.exit_code == 0
    assert done.stdout_bytes == "neko±\\xe9\n".encode("cp1252")


def test_commands_answer_before_anything_heavy_is_imported() -> None:
    """--help within half a second: torch alone takes longer."""
    script = (
        "import sys, train, eval, compare, explore; print(sorted({'torch', 'numpy', 'matplotlib'} & {*sys.modules}))"
    )
    done = run([sys.executable, "-c", script])
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
