"""The rooms of FedCrossSlicerLib: imports between them run one way, and most of them work without Qt."""

import ast
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[2] / "FedCrossSlicer" / "FedCrossSlicerLib"
# A room may import from itself and from the rooms before it.
ORDER = (
    "errors",
    "package",
    "csv_file",
    "child",
    "bundle",
    "setup",
    "scene",
    "display",
    "tasks",
    "panel",
)
ENTRIES = ("batch", "sequences", "view", "review", "dicom")  # for scripts; no room imports them
WITHOUT_QT = (*ORDER[: ORDER.index("panel")], *ENTRIES)
MODULES = sorted(LIBRARY.rglob("*.py"))


def room(path):
    """The name of a module's room: its folder, or the module itself if it lies in no folder."""
    return path.relative_to(LIBRARY).with_suffix("").parts[0]


def imports(path):
    """The dotted names that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path):
    names = (name.split(".") for name in imports(path))
    return {parts[1] for parts in names if parts[0] == "FedCrossSlicerLib"}


def test_every_module_belongs_to_a_known_room():
    assert {room(path) for path in MODULES} == {*ORDER, *ENTRIES, "__init__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_a_module_imports_only_from_its_own_room_and_those_before_it(path):
    own = room(path)
    allowed = ORDER[: ORDER.index(own) + 1] if own in ORDER else ORDER
    assert rooms_imported(path) <= set(allowed)


@pytest.mark.parametrize("name", WITHOUT_QT)
def test_a_room_without_widgets_does_not_import_qt(name):
    for path in (each for each in MODULES if room(each) == name):
        top_level = {imported.split(".")[0] for imported in imports(path)}
        assert not top_level & {"qt", "ctk", "PySide6"}, path.name


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=lambda p: p.name)
def test_a_folder_has_at_most_twelve_modules(folder):
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= 12


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_a_module_has_at_most_250_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250
