"""Output and exit codes of `fedcross data check` and `fedcross data phantom`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fedcross.cli import main
from tiny_federation import write_federation

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fedcross(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """A function that runs the command and returns exit code, stdout and stderr."""

    def run(*arguments: str | Path, columns: int = 80) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["fedcross", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Three sites with two structures; the third name looks like markup of rich."""
    path = write_federation(tmp_path / "federation", sites=3)
    text = path.read_text(encoding="utf-8").replace('name = "s2"', 'name = "[bold]East"')
    text = text.replace(
        "[[sites]]", '[[structures]]\nname = "Seminal vesicle"\nlabel = 2\n[[sites]]', 1
    )
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("columns", [80, 120])
def test_the_tables_of_every_site_fit_the_width_of_the_terminal(
    config: Path, fedcross: Command, columns: int
) -> None:
    code, out, err = fedcross("data", "check", config, columns=columns)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    tables = lines[: next(i for i, line in enumerate(lines) if line.startswith("Remark"))]
    assert max(map(len, tables)) <= columns
    assert "…" not in out
    for site in ("s0", "s1", "[bold]East"):
        rows = [line for line in tables if line.startswith(site)]
        assert len(rows) == 3
        words = " ".join(rows).split()
        assert {"3", "1/1/1", "0,", "none"} <= set(words)
        assert "36 x 20 x 18" in rows[1]
        assert "2 x 2 x 2.5" in rows[1]
        assert " Blob 8." in rows[2] or " Blob 9." in rows[2]
    assert sum("Seminal vesicle 0" in line for line in tables) == 3
    assert "percentiles 1, 50 and 99" in " ".join(tables)
    assert sum(line.startswith("Remark: ") for line in lines) == 3


def test_after_errors_the_exit_code_is_2_and_the_report_is_complete(
    config: Path, fedcross: Command, tmp_path: Path
) -> None:
    (config.parent / "s0" / "labels" / "case-0.nii.gz").unlink()
    for kind in ("images", "labels"):
        shutil.copy(
            config.parent / "s1" / kind / "case-0.nii.gz",
            config.parent / "s2" / kind / "case-2.nii.gz",
        )
    code, out, err = fedcross("data", "check", config, "--out", tmp_path / "report")
    assert code == 2
    assert err == "The data have 2 errors. See above.\n"
    errors = [line for line in out.splitlines() if line.startswith("Error: ")]
    assert errors[0].startswith("Error: Case case-0 of site s0 has an image but no label.")
    assert errors[1].startswith("Error: The same image: case-0 of s1 (")
    assert f"Written: {tmp_path / 'report' / 'data.html'}" in out.splitlines()
    assert (tmp_path / "report" / "data.json").is_file()


def test_the_option_data_gives_the_data_folder(
    config: Path, fedcross: Command, tmp_path: Path
) -> None:
    moved = shutil.move(config, tmp_path / "config.toml")
    assert fedcross("data", "check", moved)[0] == 2
    assert fedcross("data", "check", moved, "--data", config.parent)[0] == 0


def test_a_phantom_federation_passes_the_data_check(fedcross: Command, tmp_path: Path) -> None:
    folder = tmp_path / "phantoms"
    options = ("--sites", 2, "--cases", 3, "--shift", 0.5, "--seed", 8)
    code, out, err = fedcross("data", "phantom", folder, *options)
    assert (code, err) == (0, "")
    assert f"Next: fedcross train {folder / 'phantom.toml'} --out RUN" in out
    assert sorted(path.name for path in folder.iterdir()) == ["phantom.toml", "site-1", "site-2"]
    assert fedcross("data", "check", folder / "phantom.toml")[0] == 0
    code, _, err = fedcross("data", "phantom", folder)
    assert (code, err) == (2, "phantoms exists and is not empty. Choose another folder.\n")


def test_the_pelvis_federation_is_written_and_has_no_option_shift(
    fedcross: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "pelves"
    options = ("--anatomy", "pelvis", "--sites", 1, "--cases", 3)
    code, _, err = fedcross("data", "phantom", folder, *options, "--shift", 0.5)
    assert (code, err) == (
        2,
        "--shift is only for the anatomy organ, got 0.5 with pelvis. Leave it out.\n",
    )
    assert not folder.exists()
    code, out, err = fedcross("data", "phantom", folder, *options)
    assert (code, err) == (0, "")
    assert f"Next: fedcross train {folder / 'phantom.toml'} --out RUN" in out
    assert sorted(path.name for path in folder.iterdir()) == ["phantom.toml", "site-1"]


def test_data_are_checked_before_there_is_a_plan(
    fedcross: Command, config: Path, tmp_path: Path
) -> None:
    text = config.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if "spacing_mm" not in line and "patch" not in line]
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, out, err = fedcross("data", "check", config, "--out", tmp_path / "report")
    assert (code, err) == (0, "")
    assert "Written" in out
    figures = json.loads((tmp_path / "report" / "data.json").read_text(encoding="utf-8"))
    assert figures["sites"][0]["cases"][0]["figures"]["spacing_mm"] == [2.0, 2.0, 2.5]
