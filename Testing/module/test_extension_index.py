"""What the index of extensions checks, as far as it can be checked without a network.

The checks are those of the repository Slicer/ExtensionsIndex: its schema 1.0.2, the script
check_description_files.py and the list in its template of a pull request.
"""

import ast
import json
import re
import struct
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTION = ROOT / "FedCrossSlicer.json"
ENTRY = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
CMAKE = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
REPOSITORY = ENTRY["scm_url"].removesuffix(".git")
SOURCES = sorted((ROOT / "FedCrossSlicer").rglob("*.py"))
# Python packages that every Slicer has, and the packages of this repository.
OF_SLICER = {"slicer", "vtk", "qt", "ctk", "numpy", "FedCrossSlicerLib", "fedcross"}


def setting(name):
    """The value of a variable of the top-level CMake file."""
    return re.search(rf'set\({name} "([^"]+)"\)', CMAKE)[1]


def test_the_entry_has_the_keys_and_types_of_the_schema():
    types = {
        "$schema": str,
        "build_dependencies": list,
        "build_subdirectory": str,
        "category": str,
        "scm_revision": str,
        "scm_url": str,
        "tier": int,
    }
    assert {key: type(value) for key, value in ENTRY.items()} == types
    assert "catalog-entry-schema-v1.0.2" in ENTRY["$schema"]
    assert 1 <= ENTRY["tier"] <= 5
    assert ENTRY["category"] == "Segmentation"
    assert b"\r" not in DESCRIPTION.read_bytes()


def test_the_repository_has_a_name_that_begins_with_slicer_and_the_extension_has_not():
    assert re.fullmatch(r"https://github\.com/[\w-]+/Slicer\w+\.git", ENTRY["scm_url"])
    assert not DESCRIPTION.stem.lower().startswith("slicer")


def test_the_project_in_cmake_has_the_name_of_the_entry_and_its_dependencies():
    assert re.search(r"project\((\w+)\)", CMAKE)[1] == DESCRIPTION.stem
    assert setting("EXTENSION_DEPENDS").split() == ENTRY["build_dependencies"]
    assert setting("EXTENSION_HOMEPAGE") == REPOSITORY


@pytest.mark.parametrize(
    "url", [setting("EXTENSION_ICONURL"), *setting("EXTENSION_SCREENSHOTURLS").split()]
)
def test_icon_and_screenshots_are_png_files_of_the_repository(url):
    raw = REPOSITORY.replace("https://github.com", "https://raw.githubusercontent.com")
    path = ROOT / url.removeprefix(f"{raw}/{ENTRY['scm_revision']}/")
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n")
    if path.name == "FedCrossSlicer.png":
        assert struct.unpack(">II", head[16:24]) == (128, 128)


def test_the_description_is_one_or_two_sentences():
    assert 1 <= len(re.findall(r"\.(?: |$)", setting("EXTENSION_DESCRIPTION"))) <= 2


def test_the_homepage_has_name_picture_module_publication_licence_and_sample_data():
    for needed in (
        "# FedCrossSlicer",
        "Resources/Screenshots/",
        "FedCross Segmentation",
        "https://arxiv.org/abs/2204.02450",
        "Apache 2.0",
        "FedCrossPhantom",
    ):
        assert needed in README
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_tutorial_uses_the_registered_sample_and_has_screenshots():
    tutorial = (ROOT / "docs" / "tutorial" / "slicer.md").read_text(encoding="utf-8")
    assert "*FedCrossPhantom*" in tutorial
    assert tutorial.count("Resources/Screenshots/") >= 2
    samples = ROOT / "FedCrossSlicer" / "FedCrossSlicerLib" / "bundle" / "samples.py"
    assert '"FedCrossPhantom"' in samples.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_file_of_the_module_imports_at_its_top_only_what_every_slicer_has(path):
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    assert found - sys.stdlib_module_names <= OF_SLICER
