"""A scene that version 0.1.0 saved has the same content when it is opened."""

import json
import subprocess
import sys
from pathlib import Path

from harness import reopened

FILES = Path(__file__).resolve().parents[2] / "earlier_version"


def test_a_scene_of_the_earlier_version_opens_with_its_result(tmp_path):
    done = subprocess.run(
        [sys.executable, reopened.__file__, str(FILES / "scene.mrb"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    recorded = json.loads((FILES / "scene_facts.json").read_text(encoding="utf-8"))
    assert json.loads((tmp_path / "facts.json").read_text(encoding="utf-8")) == [recorded["result"]]
