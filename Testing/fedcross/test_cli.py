import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedcross.cli import app, main
from fedcross.runtime.versions import __version__
from tiny_federation import write_federation


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


@pytest.mark.parametrize("group", [[], ["bundle"], ["data"], ["federation"], ["site"]])
def test_the_list_of_commands_has_whole_sentences(group: list[str]) -> None:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*group, "--help"])
    _, _, commands = result.stdout.partition("Commands:\n")
    lines = commands.strip().splitlines()
    assert lines
    assert [line for line in lines if not line.endswith(".") or line.endswith("...")] == []


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


def answer(
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str]:
    """The exit code and what stands on stderr."""
    monkeypatch.setattr(sys, "argv", ["fedcross", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("bundle", "show", ""), "after show"),
        (("segment", "--bundle", "b", "--image", "i", "--out", ""), "after --out"),
        (("segment", "--bundle=", "--image", "i", "--out", "o"), "of --bundle"),
    ],
)
def test_a_shell_variable_that_is_not_set_is_not_the_current_folder(
    arguments: tuple[str, ...],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, message = answer(arguments, monkeypatch, capsys)
    assert code == 2
    assert f"The value {named} is empty." in message


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_a_file_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, message = answer(("train", "/dev/zero", "--out", "run"), monkeypatch, capsys)
    assert code == 2
    assert "cannot be read: File too large." in message


def test_a_loop_of_links_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    monkeypatch.chdir(tmp_path)
    arguments = ("segment", "--bundle", "bundle", "--image", "one", "--out", "out")
    code, message = answer(arguments, monkeypatch, capsys)
    assert code == 2
    assert len(message.strip().splitlines()) == 1


def test_a_bundle_in_a_folder_without_permission_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)
    code, message = answer(("bundle", "show", "closed/b.zip"), monkeypatch, capsys)
    assert code == 2
    assert "The bundle closed/b.zip cannot be read: Permission denied." in message


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


def without_reader(*arguments: str | Path) -> tuple[int, str]:
    """Run the command with a stdout that nobody reads; return its exit code and its stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "fedcross", *map(str, arguments)],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="SIGPIPE is POSIX")
def test_a_command_whose_reader_has_gone_away_completes_its_files_and_ends_quietly(
    tmp_path: Path,
) -> None:
    config = write_federation(tmp_path / "data")
    ended = without_reader("data", "check", config, "--out", tmp_path / "report")
    assert ended == (128 + signal.SIGPIPE, "")
    assert {file.name for file in (tmp_path / "report").iterdir()} == {"data.html", "data.json"}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGPIPE is POSIX")
def test_an_error_keeps_its_exit_code_and_its_sentence_when_nobody_reads_stdout() -> None:
    code, errors = without_reader("bundle", "show", "absent-bundle")
    assert code == 2
    assert "absent-bundle" in errors
    assert without_reader("--version") == (128 + signal.SIGPIPE, "")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGPIPE is POSIX")
def test_an_error_that_nobody_reads_keeps_its_exit_code() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "fedcross", "bundle", "show", "absent-bundle"]
    assert subprocess.run(command, stdout=writer, stderr=writer, check=False).returncode == 2
    os.close(writer)


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
