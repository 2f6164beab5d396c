"""The table of figures, and the verdicts."""

import pytest
import slicer

from fedcross.contract.figures import StructureFigures, VolumeInterval, verdict_of
from fedcross.contract.verdict import PredictedDice, Thresholds, Verdict


@pytest.fixture
def lib(loaded):
    from FedCrossSlicerLib.scene import figures

    return figures


@pytest.fixture
def figure(lib):
    def make(**changes):
        fields = {"volume": 30.0, "mean": 29.5, "low": 29.0, "high": 31.0, "agreement": 0.95}
        fields |= changes
        return lib.Figure(name=fields.pop("name", "Prostate"), color=(0.2, 0.8, 0.4), **fields)

    return make


@pytest.fixture
def nodes(volume, result_folder):
    from FedCrossSlicerLib.tasks.load import loadResult

    return loadResult(result_folder, volume)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"agreement": 0.95}, "agree"),
        ({"agreement": 0.9}, "agree"),
        ({"agreement": 0.8999}, "look"),
        ({"agreement": 0.75}, "look"),
        ({"agreement": 0.7499}, "distrust"),
        ({"agreement": 0.0}, "distrust"),
        ({"agreement": None}, "look"),
        ({"volume": 0.0, "low": 0.0, "high": 0.0, "agreement": 1.0}, "absent"),
        ({"volume": 0.0, "low": 0.0, "high": 0.0, "agreement": None}, "absent"),
        ({"low": 0.0, "agreement": 0.97}, "distrust"),
        ({"volume": 0.0, "low": 0.0, "high": 2.0, "agreement": 0.97}, "distrust"),
    ],
)
def test_a_verdict_follows_from_the_figures(lib, figure, changes, expected):
    assert verdict_of(figure(**changes)).value == expected


def test_a_structure_that_one_of_ten_members_finds_is_not_to_be_trusted(lib, figure):
    """36 of the 45 pairs are two empty masks, whose Dice is 1, so the mean Dice is 0.8."""
    alone = figure(volume=0.0, low=0.0, high=4.0, agreement=36 / 45)
    assert verdict_of(alone) is Verdict.DISTRUST


def test_other_thresholds_give_other_verdicts(lib, figure):
    lenient = Thresholds(agree=0.8, trust=0.5)
    assert verdict_of(figure(agreement=0.82), lenient) is Verdict.AGREE
    assert verdict_of(figure(agreement=0.6), lenient) is Verdict.LOOK


def test_the_table_holds_the_summarys_figures_and_the_segments_colors(lib, nodes):
    (read,) = lib.readFigures(nodes.figures)
    assert (read.name, read.volume, read.low, read.high) == ("Prostate", 31.2, 29.8, 33.0)
    assert (read.mean, read.agreement) == (31.1, 0.93)
    assert read.color == pytest.approx((0.2, 0.8, 0.4), abs=1e-5)
    titles = [nodes.figures.GetColumnName(i) for i in range(nodes.figures.GetNumberOfColumns())]
    assert titles[4:] == ["volume_ml", "mean_ml", "min_ml", "max_ml", "agreement_dice"]


def test_one_member_has_no_agreement(lib, nodes, scene):
    alone = [StructureFigures("Prostate", 30.0, 30.0, 30.0, 30.0, None)]
    table = lib.newFigures("alone", alone, nodes.segmentation)
    (read,) = lib.readFigures(table)
    assert read.agreement is None
    assert verdict_of(read) is Verdict.LOOK


def test_a_structure_that_was_not_found_leaves_the_agreement_of_the_others(lib, nodes, scene):
    structures = [
        StructureFigures("Prostate", 30.0, 30.0, 29.0, 31.0, 0.95),
        StructureFigures("Vesicles", 0.0, 0.0, 0.0, 0.0, None),
    ]
    read = lib.readFigures(lib.newFigures("two", structures, nodes.segmentation))
    assert [each.agreement for each in read] == [0.95, None]
    assert [verdict_of(each) for each in read] == [Verdict.AGREE, Verdict.ABSENT]


def test_a_calibrated_table_is_the_same_after_saving(lib, nodes, tmp_path):
    figures = ("Prostate", 30.0, 30.0, 29.0, 31.0, 0.95)
    structures = [
        StructureFigures(*figures, VolumeInterval(27.5, 33.25, 0.9)),
        StructureFigures(*figures, None, PredictedDice(0.8, 0.125), Verdict.LOOK),
        StructureFigures(*figures, None, PredictedDice(0.9, 0.0625)),
        StructureFigures(*figures),
    ]
    table = lib.newFigures("calibrated", structures, nodes.segmentation)
    before = lib.readFigures(table)
    for read, given in zip(before, structures, strict=True):
        assert (read.interval, read.predicted, read.judged) == (
            given.interval,
            given.predicted,
            given.judged,
        )
    assert slicer.util.saveNode(table, str(tmp_path / "calibrated.tsv"))
    assert lib.readFigures(slicer.util.loadTable(str(tmp_path / "calibrated.tsv"))) == before


def test_an_unknown_verdict_in_a_scene_counts_as_none(lib, nodes):
    predicted = PredictedDice(0.6, 0.05)
    structure = StructureFigures(
        "Prostate", 30.0, 30.0, 29.0, 31.0, 0.95, None, predicted, Verdict.AGREE
    )
    table = lib.newFigures("odd", [structure], nodes.segmentation)
    table.GetTable().GetColumnByName("verdict").SetValue(0, "splendid")
    (read,) = lib.readFigures(table)
    assert read.judged is None
    assert verdict_of(read) is Verdict.DISTRUST  # 0.6 + 0.05 is below 0.7


def test_the_familiarity_is_stored_with_the_table(lib, nodes):
    from FedCrossSlicerLib.bundle.result import Familiarity

    assert lib.readFamiliarity(nodes.figures) is None
    assert lib.readFamiliarity(None) is None
    familiarity = Familiarity(True, ("modality", "caf\u00e9"), 9.5, 6.0, 0.05)
    lib.recordFamiliarity(nodes.figures, familiarity)
    assert lib.readFamiliarity(nodes.figures) == familiarity


@pytest.mark.parametrize("text", ["", "{", "7", "[]", "{}", '{"reasons": 3}', "[" * 100_000])
def test_a_familiarity_that_someone_changed_counts_as_none(lib, nodes, text):
    nodes.figures.SetAttribute("FedCross.Familiarity", text)
    assert lib.readFamiliarity(nodes.figures) is None


def test_a_structure_without_segment_is_grey(lib, nodes):
    table = lib.newFigures("x", [StructureFigures("Other", 1, 1, 1, 1, 1)], nodes.segmentation)
    assert lib.readFigures(table)[0].color == (0.5, 0.5, 0.5)


def test_without_structures_the_table_has_no_row(lib, nodes):
    assert lib.readFigures(lib.newFigures("none", [], nodes.segmentation)) == []
    assert lib.readFigures(None) == []


def test_a_table_is_the_same_after_saving(lib, nodes, tmp_path):
    """Slicer saves tables as text, in which digits, tabs and quotes could be lost."""
    odd = StructureFigures('"a"\t1/3\nü', 1 / 3, 1e6 / 3, 1e-7 / 3, 12345.678901, 2 / 3)
    table = lib.newFigures("odd", [odd, odd], nodes.segmentation)
    before = lib.readFigures(table)
    assert before[0].name == "'a' 1/3 ü"
    assert slicer.util.saveNode(table, str(tmp_path / "odd.tsv"))
    again = slicer.util.loadTable(str(tmp_path / "odd.tsv"))
    assert lib.readFigures(again) == before
