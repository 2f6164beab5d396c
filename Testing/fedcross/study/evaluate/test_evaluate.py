"""A bundle evaluated on labelled cases, from its training to its page."""

import csv
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

import fedcross
from fedcross.cli import app
from fedcross.commands.evaluate import _main_figures
from fedcross.errors import ConfigError, DataError, DeviceError
from fedcross.infer.batch import memory
from fedcross.model.bundle import Bundle
from fedcross.runtime.reporting import NullReporter
from fedcross.study.evaluate import run as module
from fedcross.study.evaluate.evaluation import Evaluation
from fedcross.training.evaluation.surface import surface_distances
from tiny_federation import SPACING_MM, write_federation


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    """A configuration of two sites with a case in each part, and a bundle trained with it."""
    folder = tmp_path_factory.mktemp("evaluated")
    config = write_federation(folder)
    fedcross.train(config, folder / "run", device="cpu")
    return config, fedcross.export(folder / "run", folder / "bundle")


@pytest.fixture(scope="module")
def evaluated(
    trained: tuple[Path, Bundle], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Evaluation]:
    """The folder of an evaluation on the test cases, and its figures."""
    config, bundle = trained
    out = tmp_path_factory.mktemp("evaluation")
    return out, fedcross.evaluate(bundle, config, out)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def count_segmentations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the name of each case that is segmented."""
    names: list[str] = []
    whole = module.evaluate_case

    def counted(case: Any, *arguments: Any, **options: Any) -> Any:
        names.append(case.name)
        return whole(case, *arguments, **options)

    monkeypatch.setattr(module, "evaluate_case", counted)
    return names


def test_the_figures_are_those_of_the_segmentation(
    trained: tuple[Path, Bundle], evaluated: tuple[Path, Evaluation]
) -> None:
    config, bundle = trained
    case = evaluated[1].cases[0]
    found = fedcross.segment(config.parent / "s0/images" / f"{case.case}.nii.gz", bundle)
    path = config.parent / "s0/labels" / f"{case.case}.nii.gz"
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    figures = case.structures["Blob"]
    one, other = found.labels == 1, truth == 1
    assert figures.ensemble.dice == pytest.approx(fedcross.dice(one, other))
    distances = surface_distances(one, other, SPACING_MM)
    assert (figures.ensemble.hd95_mm, figures.ensemble.assd_mm) == pytest.approx(
        (distances.hd95_mm, distances.assd_mm)
    )
    voxel_ml = np.prod(SPACING_MM) / 1000
    assert figures.ensemble.volume_error_ml == pytest.approx((one.sum() - other.sum()) * voxel_ml)
    assert len(figures.members) == 2
    for labels, member in zip(found.member_labels, figures.members, strict=True):
        assert member.dice == pytest.approx(fedcross.dice(labels == 1, other))
    assert figures.agreement == found.summary.structures[0].mean_pairwise_dice
    std, wrong = found.measures["std"], found.labels != truth
    assert case.volume.auroc["std"] == pytest.approx(fedcross.auroc(std, wrong))
    assert case.volume.voxels == truth.size
    assert case.volume.wrong == wrong.sum()
    probability = found.probabilities["Blob"].astype(np.float64)
    counts = figures.volume
    assert sum(counts["squared_error"]) == pytest.approx(((probability - other) ** 2).sum())


def test_all_members_together_are_the_ensemble(evaluated: tuple[Path, Evaluation]) -> None:
    for case in evaluated[1].cases:
        figures = case.structures["Blob"]
        assert figures.first_members == (figures.ensemble,)


def test_the_review_begins_with_the_segmentation_and_the_limit_is_not_beaten_by_chance(
    evaluated: tuple[Path, Evaluation],
) -> None:
    voxel_ml = np.prod(SPACING_MM) / 1000
    for case in evaluated[1].cases:
        assert case.review is not None
        for curve in (case.review.ranked, case.review.random, case.review.limit):
            assert curve.dice[0] == pytest.approx(case.structures["Blob"].ensemble.dice)
            assert curve.error_ml[0] == pytest.approx(case.volume.wrong * voxel_ml)
            assert list(curve.error_ml) == sorted(curve.error_ml, reverse=True)
        assert case.review.limit.error_ml[5] <= case.review.random.error_ml[5] + 1e-9


def test_the_tables_and_the_page_hold_the_figures(evaluated: tuple[Path, Evaluation]) -> None:
    out, evaluation = evaluated
    stored = json.loads((out / module.RECORD).read_text(encoding="utf-8"))
    assert Evaluation.model_validate(stored) == evaluation
    of_ensemble = [row for row in rows(out / module.STRUCTURES) if row["predictor"] == "ensemble"]
    assert [row["site"] for row in of_ensemble] == ["s0", "s1"]
    assert [float(row["dice"]) for row in of_ensemble] == pytest.approx(
        [case.structures["Blob"].ensemble.dice for case in evaluation.cases], rel=1e-5
    )
    voxels = rows(out / module.VOXELS)
    assert {row["voxels"] for row in voxels} == {"band", "volume"}
    assert len(voxels) == 2 * 2 * 6
    assert len(rows(out / module.REVIEW)) == 2 * 21
    page = (out / module.PAGE).read_text(encoding="utf-8")
    mean = evaluation.structures["Blob"].predictors["ensemble"].dice
    assert f"{mean:.3f}" in page
    assert not re.search(r"(src|href)=.http|<script|@import", page)


def test_the_means_are_over_the_cases(evaluated: tuple[Path, Evaluation]) -> None:
    _, evaluation = evaluated
    found = evaluation.structures["Blob"]
    each = [case.structures["Blob"] for case in evaluation.cases]
    assert found.predictors["ensemble"].dice == pytest.approx(
        np.mean([one.ensemble.dice for one in each])
    )
    assert found.predictors["mean of the members"].dice == pytest.approx(
        np.mean([member.dice for one in each for member in one.members])
    )
    assert found.sites["s1"].dice == each[1].ensemble.dice
    assert sum(sum(counts) for counts in found.verdicts.values()) == 2
    assert found.in_range.cases == 2
    assert found.in_interval.cases == 0


def test_finished_cases_are_reused_and_a_changed_case_is_not(
    trained: tuple[Path, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, bundle = trained
    copy = tmp_path / "data"
    shutil.copytree(config.parent, copy, ignore=shutil.ignore_patterns("run", "bundle"))
    out = tmp_path / "out"
    names = count_segmentations(monkeypatch)
    whole = fedcross.evaluate(bundle, copy / "config.toml", out)
    assert len(names) == 2
    assert fedcross.evaluate(bundle, copy / "config.toml", out) == whole
    assert len(names) == 2
    damaged = next(iter(sorted((out / "cases").iterdir())))
    damaged.write_text(damaged.read_text(encoding="utf-8")[:100], encoding="utf-8")
    assert fedcross.evaluate(bundle, copy / "config.toml", out) == whole
    assert len(names) == 3
    path = copy / "s1/images" / f"{whole.cases[1].case}.nii.gz"
    image = sitk.ReadImage(str(path))
    sitk.WriteImage(image + 1, str(path))
    fedcross.evaluate(bundle, copy / "config.toml", out)
    assert names[3:] == [whole.cases[1].case]
    fedcross.evaluate(bundle, copy / "config.toml", out, band_mm=4.0)
    assert len(names) == 6


def test_two_cases_at_once_give_the_same_files(
    trained: tuple[Path, Bundle], evaluated: tuple[Path, Evaluation], tmp_path: Path
) -> None:
    config, bundle = trained
    fedcross.evaluate(bundle, config, tmp_path, workers=2)
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert len(names) == 7
    for name in names - {module.PAGE}:
        assert (tmp_path / name).read_bytes() == (evaluated[0] / name).read_bytes(), name


def test_more_cases_at_once_than_the_memory_allows_are_refused(
    trained: tuple[Path, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: memory.PROCESS_BYTES)
    with pytest.raises(DeviceError, match=r"2 cases at the same time need .* Use --workers 1"):
        fedcross.evaluate(trained[1], trained[0], tmp_path / "out", workers=2)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_evaluation_keeps_its_finished_cases(
    trained: tuple[Path, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, bundle = trained

    class Interrupting(NullReporter):
        def progress(self, done: int, total: int, stage: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fedcross.evaluate(bundle, config, tmp_path, reporter=Interrupting())
    assert not (tmp_path / module.PAGE).exists()
    names = count_segmentations(monkeypatch)
    fedcross.evaluate(bundle, config, tmp_path)
    assert len(names) == 1


def test_the_cases_of_a_list_are_evaluated_without_a_configuration(
    trained: tuple[Path, Bundle], evaluated: tuple[Path, Evaluation], tmp_path: Path
) -> None:
    config, bundle = trained
    names = [(case.site, case.case) for case in evaluated[1].cases]
    lines = ["image,label,name,split"]
    for site, name in names:
        files = (config.parent / site / kind / f"{name}.nii.gz" for kind in ("images", "labels"))
        lines.append(",".join([*map(str, files), f"=case of {site}", ""]))
    listed = tmp_path / "outside.csv"
    listed.write_text("\n".join(lines), encoding="utf-8")
    found = fedcross.evaluate(bundle, None, tmp_path / "out", cases=listed)
    assert {(case.site, case.part) for case in found.cases} == {("outside", "test")}
    for one, other in zip(found.cases, evaluated[1].cases, strict=True):
        assert one.structures == other.structures
    text = (tmp_path / "out" / module.STRUCTURES).read_text(encoding="utf-8")
    assert ",=case" not in text
    with pytest.raises(DataError, match=r"outside.csv has no case in the parts train"):
        fedcross.evaluate(bundle, None, tmp_path / "out", cases=listed, parts=["train"])


def test_a_structure_that_was_not_drawn_counts_as_background(
    trained: tuple[Path, Bundle], tmp_path: Path
) -> None:
    config, bundle = trained
    text = config.read_text(encoding="utf-8")
    text = text.replace(
        '[[sites]]\nname = "s1"',
        '[[sites]]\nlabels_missing = ["Blob"]\nlabel_map = {1 = 2}\nname = "s1"',
    ).replace("label = 1\n", 'label = 1\n[[structures]]\nname = "Other"\nlabel = 2\n', 1)
    other = tmp_path / "other.toml"
    other.write_text(text, encoding="utf-8")
    found = fedcross.evaluate(bundle, other, tmp_path / "out", data_root=config.parent)
    assert list(found.structures) == ["Blob"]
    assert found.structures["Blob"].in_range.cases == 1
    first, second = found.cases
    assert list(first.structures) == ["Blob"]
    assert second.structures == {}
    assert (
        second.volume.wrong == 0
    )  # the label map is mapped to background, and so is the segmentation
    assert second.review is None


def test_either_a_configuration_or_a_list_is_needed(
    trained: tuple[Path, Bundle], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="either a configuration or a list"):
        fedcross.evaluate(trained[1], None, tmp_path)
    with pytest.raises(ConfigError, match=r"band must be above 0 mm, got -1"):
        fedcross.evaluate(trained[1], trained[0], tmp_path, band_mm=-1)


def test_the_command_prints_the_main_figures(
    trained: tuple[Path, Bundle], evaluated: tuple[Path, Evaluation], tmp_path: Path
) -> None:
    config, bundle = trained
    words = ["evaluate", str(bundle.path), "--data", str(config), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*words, "--site", "s1", "--part", "test"])
    assert done.exit_code == 0, done.output
    dice = evaluated[1].structures["Blob"].sites["s1"].dice
    assert f"{dice:.3f}" in done.output
    assert "- stands for a figure that these cases do not have." in done.output
    assert "evaluation.html" in done.output


def test_a_figure_over_several_structures_is_marked_as_such() -> None:
    structure = SimpleNamespace(
        predictors={"ensemble": SimpleNamespace(dice=0.9, hd95_mm=1.0)},
        calibration={"band": SimpleNamespace(ece=0.1)},
        rankings={},
        in_range=SimpleNamespace(count=1, cases=2),
    )
    band = SimpleNamespace(auroc={"entropy": 0.8})
    values: dict[str, Any] = {"band_mm": 10.0, "measure": "entropy", "voxels": {"band": band}}
    for names, marked in ((["Organ"], 0), (["Organ", "Tumour"], 3)):
        evaluation: Any = SimpleNamespace(
            structures=dict.fromkeys(names, structure), review=None, **values
        )
        (column, *_) = _main_figures(evaluation).columns
        assert sum("all structures" in str(cell) for cell in column.cells) == marked
