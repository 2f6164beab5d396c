"""docs/licences.md lists every locked dependency with its version and licence."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "list_licences.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("list_licences", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(text: str) -> dict[str, tuple[str, str, str]]:
    """Return of every row of the table: name to version, licence and use."""
    found = re.findall(r"^\| (\S+) \| (\d\S*) \| (.+?) \| (.+?) \|$", text, flags=re.M)
    return {name: (version, licence, use) for name, version, licence, use in found}


def test_the_page_lists_every_locked_package_with_its_version(script: ModuleType) -> None:
    listed = rows(script.PAGE.read_text(encoding="utf-8"))
    locked = dict(script.locked().values())
    assert {name: version for name, (version, _licence, _use) in listed.items()} == locked


def test_the_page_states_the_licence_of_what_is_installed(script: ModuleType) -> None:
    listed = rows(script.PAGE.read_text(encoding="utf-8"))
    for name in ("torch", "numpy", "pydicom", "nvflare"):
        assert listed[name][1] == script.licence(name)


def test_what_is_needed_for_the_base_is_no_copyleft_licence(script: ModuleType) -> None:
    listed = rows(script.PAGE.read_text(encoding="utf-8"))
    base = {name: licence for name, (_, licence, use) in listed.items() if "base" in use}
    assert {"torch", "numpy", "pydantic_core", "mdurl"} <= set(base)
    assert not [name for name, licence in base.items() if re.search(r"\bL?GPL", licence)]


def test_requirements_are_followed_through_other_packages(script: ModuleType) -> None:
    assert {"typer", "rich", "mdurl"} <= script.needed(["typer>=0.12"])
    assert "pydantic-core" in script.needed(["pydantic"])
    assert script.needed(["numpy; sys_platform == 'none'"]) == set()


def test_a_package_without_a_licence_is_an_error(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing:
        metadata = type("Empty", (), {"__getitem__": lambda *_: None, "get_all": lambda *_: []})()

    monkeypatch.setattr(script, "distribution", lambda name: Nothing)
    with pytest.raises(ValueError, match="alone states no licence"):
        script.licence("alone")
