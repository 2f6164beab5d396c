"""The documents agree with the code: links, commands, configurations, module names, pictures."""

import ast
import importlib.util
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from typer.main import get_command
from typer.testing import CliRunner

import fedcross
from fedcross.cli import app
from fedcross.contract.events import Event, read_event
from fedcross.contract.exits import BAD_INPUT, DONE, INCOMPLETE, INTERRUPTED, NO_READER, UNEXPECTED
from fedcross.federate.kits.site_settings import SiteSettings
from fedcross.runtime.plugins import GROUPS
from fedcross.training.config.configuration import TrainingConfig, parse_config
from fedcross.uncertainty.measures import MEASURES

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "training" / "src" / "fedcross"
MODULE = ROOT / "FedCrossSlicer"
SOURCES = (PACKAGE, MODULE, ROOT / "training" / "benchmarks")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINKED = sorted([*PAGES, *ROOT.glob("training/*.md"), *ROOT.glob("training/benchmarks/**/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in LINKED]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(language: str) -> list[Any]:
    """Return every code block of a language as a parameter that is named after page and place."""
    found = []
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        each = re.findall(rf"^```{language}\n(.*?)^```", text(name), flags=re.M | re.S)
        found += [pytest.param(block, id=f"{name}-{place}") for place, block in enumerate(each)]
    assert found
    return found


def command_lines() -> list[str]:
    """Return the `fedcross` command lines of the bash blocks, without comments."""
    lines = (line for block in blocks("bash") for line in block.values[0].splitlines())
    found = {found[1] for line in lines if (found := re.search(r"\bfedcross (.*)", line))}
    # AGENTS.md has its commands in a table.
    return sorted(found | set(re.findall(r"\| `fedcross (.*)` \|$", text("AGENTS.md"), flags=re.M)))


def prose(name: str) -> str:
    return re.sub(r"^```.*?^```", "", text(name), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.*)$", prose(str(page.relative_to(ROOT))), flags=re.M)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


def links(name: str) -> Iterator[str]:
    for pair in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", prose(name)):
        yield "".join(pair)


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_leads_to_a_file_and_a_heading(name: str) -> None:
    for link in links(name):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.resolve()), link


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_one_title(name: str) -> None:
    assert len(re.findall(r"^# ", prose(name), flags=re.M)) == 1


def test_the_index_links_to_every_page() -> None:
    assert site_pages() - {"README.md"} <= set(links("docs/README.md"))


def site_pages() -> set[str]:
    """Return the pages and the notebooks of docs/, relative to it."""
    docs = ROOT / "docs"
    found = [*docs.rglob("*.md"), *docs.rglob("*.ipynb")]
    return {path.relative_to(docs).as_posix() for path in found if ".ipynb_" not in str(path)}


def entries(nav: Any) -> Iterator[str]:
    """Yield the pages of the navigation of the site, also of its sections."""
    if isinstance(nav, str):
        yield nav
        return
    for each in nav.values() if isinstance(nav, dict) else nav:
        yield from entries(each)


def test_the_navigation_of_the_site_has_every_page_once() -> None:
    with (ROOT / "docs" / "zensical.toml").open("rb") as file:
        found = list(entries(tomllib.load(file)["project"]["nav"]))
    assert sorted(found) == sorted(page.replace(".ipynb", ".md") for page in site_pages())


@pytest.mark.parametrize("name", ["docs/how-to/dicom.md", "docs/README.md"])
def test_no_link_leaves_the_pages_of_the_site(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    site = script("build_site", monkeypatch)
    page = ROOT / name
    up = "../" * name.count("/")
    rewritten = site.rewrite(f"[a]({up}README.md#speed) [b](privacy.md) [c](first.ipynb)", page)
    assert f"[a]({site.repository()}/blob/main/README.md#speed)" in rewritten
    assert "[b](privacy.md) [c](first.md)" in rewritten


def test_pages_from_the_code_are_what_the_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    for path, content in script("generate", monkeypatch).pages().items():
        assert path.read_text(encoding="utf-8") == content, (
            f"{path.name}: make docs writes it again"
        )


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")), ids=str)
def test_a_notebook_holds_no_results_and_its_code_compiles(path: Path) -> None:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            ast.parse("".join(cell["source"]))


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_parses(line: str) -> None:
    command: Any = get_command(app)
    words = shlex.split(line, comments=True)
    while hasattr(command, "commands") and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    context = command.context_class(command, info_name=command.name)
    _, left_over, _ = command.make_parser(context).parse_args(words)
    assert left_over == []


def test_the_short_commands_of_the_tutorial_do_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = text("docs/tutorial/command-line.md")
    (tmp_path / "FedCrossSlicer").symlink_to(MODULE)
    monkeypatch.chdir(tmp_path)
    for part, shown in (
        ("bundle show", "Phantom organ"),
        ("data phantom", "Written: hospitals"),
    ):
        line = re.findall(rf"^fedcross ({part} .*)$", page, flags=re.M)[0]
        done = CliRunner().invoke(app, shlex.split(line))
        assert done.exit_code == 0, done.output
        assert shown in done.output
    assert (tmp_path / "hospitals" / "phantom.toml").is_file()


def test_agents_md_has_the_exit_codes_and_the_events_of_the_code() -> None:
    page = text("AGENTS.md")
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page, flags=re.M)}
    assert codes == {DONE, UNEXPECTED, BAD_INPUT, INCOMPLETE, INTERRUPTED, NO_READER}
    (block,) = re.findall(r"^```json\n(.*?)^```", page, flags=re.M | re.S)
    read = [read_event(line) for line in block.splitlines()]
    assert {type(event) for event in read} == set(get_args(Event))


def test_a_released_version_in_the_changelog_has_a_date() -> None:
    titles = re.findall(r"^## (.*)$", text("CHANGELOG.md"), flags=re.M)
    assert titles
    for title in titles:
        assert title == "Unreleased" or re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", title)


@pytest.mark.parametrize("block", blocks("toml"))
def test_every_configuration_is_valid(block: str) -> None:
    values = tomllib.loads(block)
    if "share" in values:
        SiteSettings.model_validate(values)
        return
    if "sites" not in values:  # a part: it is put into the example of the training page
        (example,) = (each.values[0] for each in blocks("toml") if each.id == "docs/training.md-0")
        values = {**tomllib.loads(example), **values}
    if "patch_size" not in values["preprocessing"]:  # `fedcross plan` proposes it
        values["preprocessing"] |= {"spacing_mm": [1.0, 1.0, 1.0], "patch_size": [32, 32, 32]}
    parse_config(values, source="docs")


@pytest.mark.parametrize("block", blocks("json"))
def test_every_json_block_is_json_as_a_whole_or_line_by_line(block: str) -> None:
    try:
        json.loads(block)
    except ValueError:
        for line in block.splitlines():
            json.loads(line)


@pytest.mark.parametrize("block", blocks("python"))
def test_every_python_block_compiles(block: str) -> None:
    ast.parse(block)


@pytest.mark.parametrize("name", NAMES)
def test_every_module_that_is_named_exists(name: str) -> None:
    roots = (ROOT, PACKAGE, MODULE, MODULE / "FedCrossSlicerLib", (ROOT / name).parent)
    for code in re.findall(r"`([^`\n]+)`", prose(name)):
        if re.fullmatch(r"[\w./-]+\.py", code):
            found = any((root / code).is_file() for root in roots)
            # A bare file name may be anywhere in the sources.
            found |= "/" not in code and any(any(r.rglob(code)) for r in SOURCES)
            assert found, code
        for dotted in re.findall(r"\bfedcross(?:\.\w+)+", code):
            assert is_importable(dotted), dotted


def is_importable(dotted: str) -> bool:
    """Whether a dotted path names something public, a module, something in one, or entry points."""
    parts = dotted.split(".")[1:]
    if parts[-1] in fedcross.__all__ or dotted in GROUPS.values():
        return True
    path = PACKAGE.joinpath(*parts)
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module = PACKAGE.joinpath(*parts[:-1]).with_suffix(".py")
    return (
        module.is_file()
        and re.search(
            rf"^((class|def) {parts[-1]}\b|{parts[-1]} =)",
            module.read_text(encoding="utf-8"),
            flags=re.M,
        )
        is not None
    )


def keys(model: type[BaseModel]) -> Iterator[str]:
    """Yield the keys of a section and of the sections inside it."""
    for name, field in model.model_fields.items():
        inner = list(models_in(field.annotation))
        if not inner:
            yield name
        for each in inner:
            yield from keys(each)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def test_every_key_of_the_configuration_is_explained() -> None:
    page = text("docs/configuration.md")
    assert [key for key in sorted(set(keys(TrainingConfig))) if f"`{key}`" not in page] == []


def test_every_measure_is_explained() -> None:
    page = text("docs/uncertainty.md")
    for measure in MEASURES:
        assert f"| `{measure}` |" in page


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "docs")
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_the_picture_of_the_layers_is_what_its_script_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawing = script("draw_layers", monkeypatch)
    drawn = drawing.draw(drawing.layers(), drawing.imports())
    assert text("docs/layers.svg") == drawn, "make docs draws it again"
