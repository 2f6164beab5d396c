"""The tests for a real Slicer, run on the harness too, so that they are known to work."""

import importlib.util
import re
import unittest
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "Python"
FILES = sorted(FOLDER.glob("*Test.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_test_for_a_real_slicer_passes_on_the_harness(loaded, scene, segment_editor, path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    result = unittest.TestResult()
    suite.run(result)
    assert result.testsRun > 0
    assert result.skipped == []
    assert [text for _, text in result.failures + result.errors] == []


def test_every_test_for_a_real_slicer_is_registered():
    listed = re.findall(r"SCRIPT (\S+\.py)", (FOLDER / "CMakeLists.txt").read_text())
    assert sorted(listed) == [path.name for path in FILES]


def test_the_modules_own_self_test_passes(loaded, scene):
    loaded.instance.runTest(msec=0)
