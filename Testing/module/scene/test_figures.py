"""The figures, the verdicts, and their text and CSV file."""

import csv
import os

import pytest
import slicer


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
        ({"agreement": 0.95}, "members agree"),
        ({"agreement": 0.9}, "members agree"),
        ({"agreement": 0.8999}, "look at it"),
        ({"agreement": 0.75}, "look at it"),
        ({"agreement": 0.7499}, "do not trust"),
        ({"agreement": 0.0}, "do not trust"),
        ({"agreement": None}, "look at it"),
        ({"volume": 0.0, "low": 0.0, "high": 0.0, "agreement": 1.0}, "not found"),
        ({"volume": 0.0, "low": 0.0, "high": 0.0, "agreement": None}, "not found"),
        ({"low": 0.0, "agreement": 0.97}, "do not trust"),
        ({"volume": 0.0, "low": 0.0, "high": 2.0, "agreement": 0.97}, "do not trust"),
    ],
)
def test_a_verdict_follows_from_the_figures(lib, figure, changes, expected):
    assert lib.verdictLabel(lib.verdict(figure(**changes))) == expected


def test_a_structure_that_one_of_ten_members_finds_is_not_to_be_trusted(lib, figure):
    """36 of the 45 pairs are two empty masks, whose Dice is 1, so the mean Dice is 0.8."""
    alone = figure(volume=0.0, low=0.0, high=4.0, agreement=36 / 45)
    assert lib.verdict(alone) is lib.Verdict.DISTRUST


def test_other_thresholds_give_other_verdicts(lib, figure):
    lenient = lib.Thresholds(agree=0.8, trust=0.5)
    assert lib.verdict(figure(agreement=0.82), lenient) is lib.Verdict.AGREE
    assert lib.verdict(figure(agreement=0.6), lenient) is lib.Verdict.LOOK


def test_the_table_holds_the_summarys_figures_and_the_segments_colors(lib, nodes):
    (read,) = lib.readFigures(nodes.figures)
    assert (read.name, read.volume, read.low, read.high) == ("Prostate", 31.2, 29.8, 33.0)
    assert (read.mean, read.agreement) == (31.1, 0.93)
    assert read.color == pytest.approx((0.2, 0.8, 0.4), abs=1e-5)
    titles = [nodes.figures.GetColumnName(i) for i in range(nodes.figures.GetNumberOfColumns())]
    assert titles[4:] == ["volume_ml", "mean_ml", "min_ml", "max_ml", "agreement_dice"]


def test_one_member_has_no_agreement(lib, nodes, scene):
    from FedCrossSlicerLib.bundle.result import StructureFigures

    alone = [StructureFigures("Prostate", 30.0, 30.0, 30.0, 30.0, None)]
    table = lib.newFigures("alone", alone, nodes.segmentation)
    (read,) = lib.readFigures(table)
    assert read.agreement is None
    assert lib.verdict(read) is lib.Verdict.LOOK


def test_a_structure_that_was_not_found_leaves_the_agreement_of_the_others(lib, nodes, scene):
    from FedCrossSlicerLib.bundle.result import StructureFigures

    structures = [
        StructureFigures("Prostate", 30.0, 30.0, 29.0, 31.0, 0.95),
        StructureFigures("Vesicles", 0.0, 0.0, 0.0, 0.0, None),
    ]
    read = lib.readFigures(lib.newFigures("two", structures, nodes.segmentation))
    assert [each.agreement for each in read] == [0.95, None]
    assert [lib.verdict(each) for each in read] == [lib.Verdict.AGREE, lib.Verdict.ABSENT]


def test_a_structure_without_segment_is_grey(lib, nodes):
    from FedCrossSlicerLib.bundle.result import StructureFigures

    table = lib.newFigures("x", [StructureFigures("Other", 1, 1, 1, 1, 1)], nodes.segmentation)
    assert lib.readFigures(table)[0].color == (0.5, 0.5, 0.5)


def test_without_structures_the_table_has_no_row(lib, nodes):
    assert lib.readFigures(lib.newFigures("none", [], nodes.segmentation)) == []
    assert lib.readFigures(None) == []


NUMBERS = ["30.00", "29.50", "29.00", "31.00"]


def test_the_text_has_a_header_and_tabs_between_the_columns(lib, figure):
    text = lib.asText([figure(), figure(name="Semi\tnal\nvesicles", agreement=None)])
    header, first, second = text.splitlines()
    assert header.split("\t")[:2] == ["Structure", "Volume (mL)"]
    assert first.split("\t") == ["Prostate", *NUMBERS, "0.950", "members agree"]
    assert second.split("\t") == ["Semi nal vesicles", *NUMBERS, "", "look at it"]


NAMES = ['Left "lobe", upper', "Prostatadrüse", "two\nlines", " spaces "]


def test_the_csv_file_holds_every_name_and_number(lib, figure, tmp_path):
    lib.writeFigures([figure(name=name) for name in NAMES], lib.Thresholds(), tmp_path / "f.csv")
    content = (tmp_path / "f.csv").read_bytes()
    assert content.startswith(
        b"structure,volume_ml,members_mean_ml,members_min_ml,members_max_ml,mean_dice,verdict\r\n"
    )
    assert b'"Left ""lobe"", upper",30.00' in content
    with (tmp_path / "f.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["structure"] for row in rows] == NAMES
    assert {row["verdict"] for row in rows} == {"agree"}


def test_a_failed_write_leaves_no_partial_csv_file(lib, figure, tmp_path, monkeypatch):
    from FedCrossSlicerLib.errors import InferenceError

    (tmp_path / "f.csv").write_text("before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InferenceError) as caught:
        lib.writeFigures([figure()], None, tmp_path / "f.csv")
    assert str(caught.value) == "f.csv cannot be written: No space left on device."
    assert (tmp_path / "f.csv").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["f.csv"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no umask")
def test_a_csv_file_has_the_usual_permissions(lib, figure, tmp_path):
    previous = os.umask(0o027)
    try:
        lib.writeFigures([figure()], None, tmp_path / "figures.csv")
    finally:
        os.umask(previous)
    assert (tmp_path / "figures.csv").stat().st_mode & 0o777 == 0o666 & ~0o027
    assert [path.name for path in tmp_path.iterdir()] == ["figures.csv"]


def test_a_csv_file_in_a_missing_folder_raises_one_sentence(lib, figure, tmp_path):
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError, match=r"^f\.csv cannot be written: No such file"):
        lib.writeFigures([figure()], None, tmp_path / "none" / "f.csv")


def test_a_table_is_the_same_after_saving(lib, nodes, tmp_path):
    """Slicer saves tables as text, in which digits, tabs and quotes could be lost."""
    from FedCrossSlicerLib.bundle.result import StructureFigures

    odd = StructureFigures('"a"\t1/3\nü', 1 / 3, 1e6 / 3, 1e-7 / 3, 12345.678901, 2 / 3)
    table = lib.newFigures("odd", [odd, odd], nodes.segmentation)
    before = lib.readFigures(table)
    assert before[0].name == "'a' 1/3 ü"
    assert slicer.util.saveNode(table, str(tmp_path / "odd.tsv"))
    again = slicer.util.loadTable(str(tmp_path / "odd.tsv"))
    assert lib.readFigures(again) == before
