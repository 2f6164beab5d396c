"""The container recipes name files, extras, variables and commands that exist. No container is built."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from fedcross.cli import app

ROOT = Path(__file__).resolve().parents[2]
CONTEXT = ROOT / "training"
RECIPES = sorted((CONTEXT / "containers").glob("Dockerfile.*"))
PROJECT = tomllib.loads((CONTEXT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCES = "".join(path.read_text(encoding="utf-8") for path in (CONTEXT / "src").rglob("*.py"))
PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
KNOWN = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "USER", "ENTRYPOINT", "CMD"}


def instructions(path: Path) -> list[tuple[str, str]]:
    """The instructions of a recipe with their arguments, without comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in wanted]


def arguments(path: Path, name: str) -> list[str]:
    return [argument for instruction, argument in instructions(path) if instruction == name]


def check_words(words: list[str]) -> None:
    """Raise an error unless the words are a command of fedcross with known options."""
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    context = command.context_class(command, info_name=command.name)
    _, left_over, _ = command.make_parser(context).parse_args(words)
    assert left_over == []


def test_there_is_a_recipe_for_a_processor_and_one_for_a_gpu() -> None:
    assert [path.name for path in RECIPES] == ["Dockerfile.cpu", "Dockerfile.cuda"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_a_recipe_begins_with_a_python_that_the_package_supports(path: Path) -> None:
    assert {name for name, _ in instructions(path)} <= KNOWN
    name, base = instructions(path)[0]
    assert name == "FROM"
    version = re.fullmatch(r"python:(3\.\d+)-slim", base)
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in PROJECT["classifiers"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_everything_that_is_copied_exists_and_is_enough_for_an_installation(path: Path) -> None:
    copied = [each for line in arguments(path, "COPY") for each in line.split()[:-1]]
    assert all((CONTEXT / each).exists() for each in copied)
    assert {"src", "pyproject.toml", PROJECT["readme"]} <= set(copied)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_what_is_installed_has_pinned_versions_and_known_extras(path: Path) -> None:
    installed = [line for line in arguments(path, "RUN") if line.startswith("pip ")]
    assert installed
    for line in installed:
        words = shlex.split(line)
        assert words[words.index("-c") + 1] == "constraints.txt"
    defaults = dict(line.split("=", 1) for line in arguments(path, "ARG"))
    extras = set(defaults["EXTRAS"].split(",")) - {""}
    assert extras <= set(PROJECT["optional-dependencies"])
    assert shlex.split(installed[-1])[-1] in (".[$EXTRAS]", ".${EXTRAS:+[$EXTRAS]}")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_the_container_runs_a_command_of_the_package_without_being_root(path: Path) -> None:
    (entry,), (words,) = arguments(path, "ENTRYPOINT"), arguments(path, "CMD")
    assert json.loads(entry) == ["fedcross"]
    assert "fedcross" in PROJECT["scripts"]
    check_words([word for word in json.loads(words) if word != "--help"])
    assert arguments(path, "USER") == ["nobody"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_variable_of_the_package_is_one_that_it_reads(path: Path) -> None:
    names = re.findall(r"\b(FEDCROSS_\w+)=", " ".join(arguments(path, "ENV")))
    assert names == ["FEDCROSS_CACHE"]
    assert all(f'"{name}"' in SOURCES for name in names)


def test_the_page_builds_every_recipe_and_runs_a_command_that_parses() -> None:
    built = re.findall(r"docker build -f (\S+) -t (\S+) (\S+)", PAGE)
    assert {ROOT / file for file, _, _ in built} == set(RECIPES)
    assert {ROOT / context for _, _, context in built} == {CONTEXT}
    runs = re.findall(r"^docker run ((?:.*\\\n)*.*)", PAGE, flags=re.M)
    assert len(runs) == len(RECIPES)
    for line in runs:
        words = shlex.split(line.replace("\\\n", " "))
        tag = next(word for word in words if word.startswith("fedcross:"))
        assert tag in {tag for _, tag, _ in built}
        check_words(words[words.index(tag) + 1 :])
