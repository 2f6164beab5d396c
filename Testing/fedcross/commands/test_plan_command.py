"""Output and exit codes of `fedcross plan`."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from fedcross.cli import main
from fedcross.training.config.configuration import parse_config
from tiny_federation import write_federation

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fedcross(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """A function that runs the command and returns exit code, stdout and stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["fedcross", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration without spacing and patch size."""
    path = write_federation(tmp_path)
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if "spacing_mm" not in line and "patch" not in line]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_without_a_file_only_the_configuration_is_printed(fedcross: Command, config: Path) -> None:
    code, out, err = fedcross("plan", config, "--device", "cpu", "--memory-gb", "1")
    assert (code, err) == (0, "")
    values = tomllib.loads(out)
    assert parse_config(values, source="out").preprocessing.patch_size == (48, 32, 32)
    assert values["method"]["rounds"] == 2  # given
    assert "# Rounds and epochs are given: a model makes" in out


def test_the_file_is_named_and_the_next_command_shown(
    fedcross: Command, config: Path, tmp_path: Path
) -> None:
    out = tmp_path / "plan.toml"
    code, shown, _ = fedcross("plan", config, "--out", out, "--device", "cpu")
    assert code == 0
    assert f"fedcross train {out} --out RUN" in shown
    assert out.is_file()


def test_with_a_kit_the_hospitals_are_asked_whatever_the_engine_is(
    fedcross: Command, config: Path, tmp_path: Path
) -> None:
    """The folder is no kit, which a local plan would not notice."""
    code, _, err = fedcross("plan", config, "--kit", tmp_path)
    assert code == 2
    assert "kit" in err


@pytest.mark.parametrize(
    ("kind", "kit", "message"),
    [
        ("flare", False, 'engine.kind is "flare", and --kit is missing'),
        ("flare-simulator", True, "needs no --kit"),
    ],
)
def test_the_simulator_with_a_kit_and_hospitals_without_one_are_refused(
    fedcross: Command, config: Path, tmp_path: Path, kind: str, kit: bool, message: str
) -> None:
    with config.open("a", encoding="utf-8") as file:
        file.write(f'[engine]\nkind = "{kind}"\n')
    code, _, err = fedcross("plan", config, *(["--kit", tmp_path] if kit else []))
    assert code == 2
    assert message in err


def test_a_mistake_is_one_sentence_and_exit_code_2(fedcross: Command, config: Path) -> None:
    code, out, err = fedcross("plan", config, "--steps", "0")
    assert (code, out) == (2, "")
    assert err == "steps must be from 1 to 1000000000, got 0.\n"


def test_after_a_plan_of_the_hospitals_the_next_command_submits_it(
    fedcross: Command, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedcross.federate.planning.plan", lambda *_args, **_options: None)
    out = tmp_path / "plan.toml"
    code, shown, _ = fedcross("plan", config, "--out", out, "--kit", tmp_path / "admin")
    assert code == 0
    assert f"fedcross federation submit {out} --kit {tmp_path / 'admin'} --out RUN" in shown
