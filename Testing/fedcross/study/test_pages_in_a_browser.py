"""Every page in a real browser: no table is cut off, and the page follows the dark setting.

The tests need Chromium and are skipped where it is missing.
"""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib import image as pictures

from fedcross.contract.measures import MEASURES
from fedcross.study.compare.page import comparison_page
from fedcross.study.compare.results import Cost, RunFigures, Score
from fedcross.study.data.page import data_page
from fedcross.study.evaluate.aggregate import summarise
from fedcross.study.evaluate.figures import (
    BORDER,
    CONFIDENCE,
    Accuracy,
    CaseFigures,
    Curve,
    ReviewFigures,
    StructureFigures,
    VoxelFigures,
)
from fedcross.study.evaluate.page import evaluation_page
from fedcross.study.evaluate.request import EvaluationOptions
from fedcross.training.config.file import load_config
from fedcross.training.data.check.federation import check_data
from fedcross.uncertainty.probability_calibration import CalibrationCounts
from tiny_federation import write_federation

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
METHODS = (
    "FedCrossEns", "FedCross", "FedAvg", "FedProx", "FedBN", "Local only", "Centralised",
    "FedCrossEns (distillation 0.5)", "FedCrossEns (mu 0.01)", "FedCrossEns (average soup)",
)  # fmt: skip
MEASURE = """<script>document.title = JSON.stringify([
  document.documentElement.scrollWidth - document.documentElement.clientWidth,
  ...[...document.querySelectorAll(".wide")].map(each => each.scrollWidth - each.clientWidth)])
</script>"""


def browse(page: Path, profile: Path, *arguments: str) -> str:
    return subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
            f"--user-data-dir={profile}",
            *arguments,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


def make_comparison() -> str:
    names = [f"University hospital {place}" for place in "ABCD"]
    runs = {}
    for index, label in enumerate(METHODS):
        value = 0.5 + index / 40
        scores = [Score(site, "case", "organ", value, 12.34, 2.34) for site in names]
        cost = Cost(1200, 96_000, 2_304_000, 123_456_789_000, 345_678.9)
        runs[label] = [
            RunFigures(seed, {label: scores}, [(1.0, value)], [], cost) for seed in (1, 2)
        ]
    return comparison_page("Ten methods", runs, {"Centralised": 10**10}, "The same budget.")


def make_evaluation() -> str:
    """The page of four members, four sites and three structures, calibrated."""
    names = ("Prostate, peripheral zone", "Prostate, transition zone", "Seminal vesicles")
    curve = Curve(dice=(0.5,) * 21, error_ml=(1234.5,) * 21)
    counts = CalibrationCounts()
    counts.add(np.linspace(0, 1, 1000, dtype=np.float32), np.arange(1000) > 600)
    scores = dict.fromkeys((*MEASURES, CONFIDENCE, BORDER), 0.876)
    voxels = VoxelFigures(voxels=9999, wrong=99, auroc=scores, average_precision=scores)
    cases = []
    for index in range(8):
        accuracy = Accuracy(
            dice=0.1 * index, hd95_mm=123.45, assd_mm=12.34, volume_error_ml=-1234.56
        )
        structure = StructureFigures(
            drawn_ml=1234.5,
            ensemble=accuracy,
            members=(accuracy,) * 4,
            first_members=(accuracy,) * 3,
            agreement=0.9 - 0.1 * index,
            predicted_dice=0.8 - 0.1 * index,
            verdict="look",
            range_ml=(1.0, 2.0),
            interval_ml=(0.5, 4.0),
            band=counts.record(),
            volume=counts.record(),
        )
        cases.append(
            CaseFigures(
                site=f"University hospital {'ABCD'[index % 4]}",
                part="test",
                case=f"case-{index}",
                structures=dict.fromkeys(names, structure),
                band=voxels,
                volume=voxels,
                review=ReviewFigures(places=20, ranked=curve, random=curve, limit=curve),
            )
        )
    structures = [SimpleNamespace(name=name) for name in names]
    manifest = SimpleNamespace(name="Four members", structures=structures, members=range(4))
    bundle: Any = SimpleNamespace(manifest=manifest, sha256="0123456789abcdef")
    return evaluation_page(summarise(bundle, cases, EvaluationOptions()))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    config = write_federation(folder / "federation")
    (folder / "federation" / "s1" / "labels" / "case-1.nii.gz").unlink()
    texts = {
        "comparison": make_comparison(),
        "evaluation": make_evaluation(),
        "data": data_page(check_data(load_config(config))).replace("<details>", "<details open>"),
        "closed": data_page(check_data(load_config(config))),
    }
    found = {}
    for name, text in texts.items():
        found[name] = folder / f"{name}.html"
        found[name].write_text(text.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    return found


@pytest.mark.parametrize("width", [1300, 800])
@pytest.mark.parametrize("name", ["comparison", "data", "evaluation"])
def test_no_table_is_wider_than_the_window(
    pages: dict[str, Path], tmp_path: Path, name: str, width: int
) -> None:
    dom = browse(pages[name], tmp_path, f"--window-size={width},900", "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    too_wide = json.loads(unescape(title.group(1)))
    assert len(too_wide) > 1
    assert max(too_wide) <= 0


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed")
def test_the_cases_of_a_closed_list_are_printed(pages: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "closed.pdf"
    browse(pages["closed"], tmp_path, f"--print-to-pdf={file}")
    text = subprocess.run(["pdftotext", file, "-"], capture_output=True, text=True, check=True)
    assert "errors and remarks" in " ".join(text.stdout.split())


def test_a_page_is_dark_where_the_user_wants_dark_pages(
    pages: dict[str, Path], tmp_path: Path
) -> None:
    corners = []
    for name, scheme in (("light", "1"), ("dark", "0")):
        file = tmp_path / f"{name}.png"
        browse(
            pages["comparison"],
            tmp_path / name,
            "--window-size=800,600",
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--screenshot={file}",
        )
        corners.append(float(np.mean(pictures.imread(file)[:4, :4, :3])))
    light, dark = corners
    assert light > 0.95
    assert dark < 0.2
