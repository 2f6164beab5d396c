import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedcross.cli import app, main
from fedcross.runtime.versions import __version__


def fedcross(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a shell does."""
    return subprocess.run(
        [sys.executable, "-m", "fedcross.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_every_command() -> None:
    shown = fedcross("--help")
    assert shown.returncode == 0
    alone = ("demo", "train", "export", "calibrate", "profile", "compare", "landscape", "segment")
    for command in (*alone, "bundle", "data", "federation", "site"):
        assert f"\n  {command} " in shown.stdout


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from fedcross.cli import app;"
        "CliRunner().invoke(app, ['--help']); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("train", "absent.toml", "--out", "run"), "absent.toml"),
        (("export", "absent-run", "bundle"), "absent-run"),
        (("bundle", "verify", "absent-bundle"), "absent-bundle"),
        (("bundle", "show", "absent-bundle"), "absent-bundle"),
        (("bundle", "pack", "absent-bundle", "b.zip"), "absent-bundle"),
        (("bundle", "import-reference", "absent.pth.tar", "bundle"), "absent.pth.tar"),
        (("calibrate", "absent", "--data", "absent.toml", "--out", "b"), "absent.toml"),
        (("profile", "absent", "--data", "absent.toml", "--out", "b"), "absent.toml"),
        (("segment", "--bundle", "absent", "--image", "i.nrrd", "--out", "o"), "absent"),
    ],
)
def test_a_missing_file_is_one_sentence_that_names_it_and_exit_code_2(
    arguments: tuple[str, ...],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fedcross", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    message = capsys.readouterr().err
    assert ended.value.code == 2
    assert named in message
    assert len(message.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_error_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Path) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("fedcross.model.bundle.verify_bundle", broken)
    monkeypatch.setattr(sys, "argv", ["fedcross", "bundle", "verify", "b"])
    with pytest.raises(SystemExit) as ended:
        main()
    message = capsys.readouterr().err
    assert ended.value.code == 1
    assert "ZeroDivisionError: a bug" in message
    assert "FEDCROSS_DEBUG" in message
    assert "Traceback" not in message


def test_an_interrupted_command_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fedcross.model.bundle.verify_bundle", interrupted)
    monkeypatch.setattr(sys, "argv", ["fedcross", "bundle", "verify", "b"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130


def test_an_unknown_measure_is_refused_with_a_list_of_the_known_ones() -> None:
    finished = fedcross(
        "segment", "--bundle", "b", "--image", "i", "--out", "o", "--measure", "variance"
    )
    assert finished.returncode == 2
    assert "variance" in finished.stderr
    assert "mutual_information" in finished.stderr


def test_the_version_is_printed() -> None:
    for module in ("fedcross", "fedcross.cli"):
        shown = subprocess.run(
            [sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True
        )
        assert shown.stdout == f"fedcross {__version__}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_ctrl_c_while_the_libraries_are_imported_shows_no_traceback(tmp_path: Path) -> None:
    """A library that waits stands for one that is slow to import."""
    slow = "import time\nprint('importing', flush=True)\ntime.sleep(600)\n"
    (tmp_path / "typer.py").write_text(slow, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "fedcross", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "importing\n"
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=60)
    assert (program.returncode, errors) == (130, "Interrupted.\n")


@pytest.mark.parametrize("group", [[], ["bundle"], ["data"], ["federation"], ["site"]], ids=str)
def test_the_list_of_commands_has_whole_sentences(group: list[str]) -> None:
    done = CliRunner().invoke(app, [*group, "--help"], terminal_width=80)
    commands = done.output.partition("Commands:\n")[2]
    assert commands.count("\n") > 1
    assert "..." not in commands
    assert max(map(len, commands.splitlines())) <= 80
