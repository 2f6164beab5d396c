"""The test case on the page of a comparison, and the ranking of the methods."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcross.federate.local.engine import read_data
from fedcross.runtime.reporting import NullReporter
from fedcross.study.compare.compare import RUNS, compare
from fedcross.study.compare.example import (
    DRAWN,
    choose_case,
    draw_example,
    find_labels,
)
from fedcross.study.compare.kept_labels import KeptLabels
from fedcross.study.compare.page import comparison_page
from fedcross.study.compare.results import Cost, RunFigures, Score, read_run
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.reading import read_case
from fedcross.training.run.folder import TEST, RunFolder
from fedcross.uncertainty.agreement import dice
from tiny_federation import tiny_config


def make_run(label: str, dices: dict[str, float]) -> RunFigures:
    scores = [
        Score("site", case, "organ", value, 2 - value, 1 - value) for case, value in dices.items()
    ]
    return RunFigures(1, {label: scores}, [], [], Cost(1, 1, 1, 0, 1.0))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    folder = tmp_path_factory.mktemp("federation")
    return tiny_config(folder, cases=3, split=(1, 1, 1), rounds=1, local_epochs=1)


@pytest.fixture(scope="module")
def out(config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("comparison") / "out"
    compare(config, out, methods="fedcross-ens,local", seeds=1, device="cpu")
    return out


def test_the_case_with_the_median_dice_is_chosen_and_the_worse_of_two_middle_ones() -> None:
    assert choose_case([make_run("A", {"a": 0.9, "b": 0.2, "c": 0.5})], "A") == ("site", "c")
    four = make_run("A", {"a": 0.9, "b": 0.2, "c": 0.5, "d": 0.6})
    assert choose_case([four], "A") == ("site", "c")
    assert choose_case([make_run("A", {})], "A") is None


def test_the_label_maps_have_the_dice_of_the_test(config: TrainingConfig, out: Path) -> None:
    for slug, label in (("fedcross-ens", "FedCrossEns"), ("local", "Local only")):
        run = RunFolder(out / RUNS / slug / f"seed-{config.seed}")
        figures = read_run(run, label, 1)
        for site in read_data(config, NullReporter()).sites:
            (case,) = site.test
            image, truth = read_case(case, site.label_map, site.name)
            found = find_labels(case, image, site, run)
            (score,) = (each for each in figures.scores[label] if each.site == site.name)
            assert dice(found == 1, truth == 1) == pytest.approx(score.dice)


def test_the_slice_has_the_most_drawn_voxels(
    config: TrainingConfig, out: Path, tmp_path: Path
) -> None:
    site = read_data(config, NullReporter()).sites[0]
    (case,) = site.test
    run = RunFolder(out / RUNS / "fedcross-ens" / f"seed-{config.seed}")
    figures = read_run(run, "FedCrossEns", 1)
    kept = KeptLabels(tmp_path)
    example = draw_example(
        case, site, {"FedCrossEns": run}, {"FedCrossEns": figures}, kept, lambda line: None
    )
    image, truth = read_case(case, site.label_map, site.name)
    axis = int(np.argmax(image.GetSpacing()[::-1]))
    most = np.count_nonzero(truth, axis=tuple({0, 1, 2} - {axis})).max()
    assert np.count_nonzero(example.pictures[DRAWN].label) == most
    assert list(example.pictures) == [DRAWN, "FedCrossEns"]


def test_the_case_is_segmented_again_only_if_what_determines_the_label_map_has_changed(
    config: TrainingConfig, out: Path, tmp_path: Path
) -> None:
    site = read_data(config, NullReporter()).sites[0]
    (case,) = site.test
    run = RunFolder(shutil.copytree(out / RUNS / "local" / f"seed-{config.seed}", tmp_path / "run"))
    figures = {"Local only": read_run(run, "Local only", 1)}

    def draw() -> tuple[NDArray[np.uint8], int]:
        lines: list[str] = []
        kept = KeptLabels(tmp_path / "example")
        example = draw_example(case, site, {"Local only": run}, figures, kept, lines.append)
        assert len(list((tmp_path / "example").iterdir())) == 1
        return example.pictures["Local only"].label, len(lines)

    (first, computed), (second, again) = draw(), draw()
    assert (computed, again) == (1, 0)
    np.testing.assert_array_equal(first, second)
    (file,) = (tmp_path / "example").iterdir()
    file.write_bytes(file.read_bytes()[:-40])
    assert draw()[1] == 1  # the damaged file is replaced
    test = run.read(TEST)
    run.write(TEST, {**test, "round": test["round"] + 1})
    assert draw()[1] == 1  # the run is another one


def test_the_page_ranks_the_methods_and_prints_the_best_values_in_bold() -> None:
    runs = {
        "A": [make_run("A", {"a": 0.5})],
        "B": [make_run("B", {"a": 0.9})],
        "C": [make_run("C", {"a": 0.7})],
    }
    page = comparison_page("title", runs, {}, "budget")
    rows = re.findall(r"<tr[^>]*><td>(\d)</td><td class=\"words\">(\w)</td>(.*?)</tr>", page)
    assert [(rank, label) for rank, label, _ in rows] == [("1", "B"), ("2", "C"), ("3", "A")]
    assert [cells.count('class="best"') for *_, cells in rows] == [3, 0, 0]


def test_the_example_is_a_section_of_the_page(config: TrainingConfig, out: Path) -> None:
    page = (out / "comparison.html").read_text(encoding="utf-8")
    assert "<h2>A test case</h2>" in page
    assert page.count("<image") == 2
    assert "A test case" not in comparison_page("t", {"A": [make_run("A", {"a": 1.0})]}, {}, "b")
