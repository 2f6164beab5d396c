"""What the README shows must work."""

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedcross.cli import app
from fedcross.train.config.configuration import parse_config
from fedcross.uncertainty.measures import MEASURES

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_every_configuration_shown_is_valid() -> None:
    assert blocks("toml")
    for block in blocks("toml"):
        parse_config(tomllib.loads(block), source="README")


@pytest.mark.parametrize(
    "line",
    sorted({line for block in blocks("bash") for line in re.findall(r"fedcross ([^#\n]+)", block)}),
)
def test_every_command_and_option_shown_exists(line: str) -> None:
    words = line.split()
    command = [word for word in words[:2] if re.fullmatch(r"[a-z-]+", word) and "." not in word]
    groups = {group.name for group in app.registered_groups}
    command = command[: 2 if command[0] in groups else 1]
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    for option in (word for word in words if word.startswith("--")):
        assert option in shown.output


def test_every_measure_is_explained() -> None:
    for measure in MEASURES:
        assert f"| `{measure}` |" in README


def test_every_file_that_is_linked_exists() -> None:
    root = Path(__file__).resolve().parents[2]
    links = re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", README)
    for link in ("".join(pair) for pair in links):
        if not link.startswith("http"):
            assert (root / link).exists(), link
