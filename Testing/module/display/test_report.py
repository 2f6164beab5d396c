"""The figures of a result in words, and their CSV file."""

import csv
import os

import pytest

from fedcross.contract.figures import VolumeInterval
from fedcross.contract.table import reliability
from fedcross.contract.verdict import PredictedDice, Thresholds, Verdict


@pytest.fixture
def report(loaded):
    from FedCrossSlicerLib.display import report

    return report


@pytest.fixture
def figure(loaded):
    from FedCrossSlicerLib.scene.figures import Figure

    def make(**changes):
        fields = {"volume": 30.0, "mean": 29.5, "low": 29.0, "high": 31.0, "agreement": 0.95}
        return Figure(**{"name": "Prostate", **fields, **changes})

    return make


@pytest.fixture
def calibrated(figure):
    """The figures of a structure that a calibrated bundle found."""
    return figure(
        interval=VolumeInterval(27.9, 34.6, 0.9),
        predicted=PredictedDice(0.86, 0.05),
        judged=Verdict.AGREE,
    )


@pytest.fixture
def unfamiliar(loaded):
    from FedCrossSlicerLib.bundle.result import Familiarity

    return Familiarity(True, ("voxel size 4.0 mm.", "intensities"), 9.5, 6.0, 0.05)


def test_the_volume_has_its_interval_or_else_the_range_of_the_members(report, figure, calibrated):
    assert report.volumeText(calibrated, 4) == "30.0 mL (90 %: 27.9 to 34.6)"
    assert report.volumeText(figure(), 4) == "30.0 mL (members: 29.0 to 31.0 mL)"
    assert report.volumeText(figure(), 1) == "30.0 mL"


def test_a_small_volume_has_two_decimals(report, figure):
    small = figure(volume=0.44, low=0.38, high=0.51)
    assert report.volumeText(small, 4) == "0.44 mL (members: 0.38 to 0.51 mL)"
    assert report.volumeText(figure(volume=9.96, low=0.38, high=11), 4) == (
        "10.0 mL (members: 0.4 to 11.0 mL)"
    )


@pytest.mark.parametrize(("coverage", "text"), [(0.9, "90 %"), (0.95, "95 %"), (0.999, "99.9 %")])
def test_the_interval_names_its_coverage(report, figure, coverage, text):
    shown = report.volumeText(figure(interval=VolumeInterval(27, 34, coverage)), 4)
    assert shown == f"30.0 mL ({text}: 27.0 to 34.0)"


def test_a_verdict_names_the_figure_that_it_is_from(report, figure, calibrated):
    assert report.verdictText(calibrated) == "likely good"
    assert report.basisText(calibrated) == "expected Dice 0.86 \u00b1 0.05"
    assert report.verdictText(figure()) == "members agree"
    assert report.basisText(figure()) == "agreement 0.95"
    assert report.basisText(figure(agreement=None)) == ""
    nothing = {"volume": 0.0, "low": 0.0, "high": 0.0}
    assert report.basisText(figure(**nothing, predicted=PredictedDice(0.8, 0.1))) == ""


def test_a_verdict_from_the_predicted_dice_does_not_follow_the_thresholds(report, calibrated):
    strict = Thresholds(agree=1.0, trust=0.99)
    assert report.verdictText(calibrated, strict) == "likely good"


@pytest.mark.parametrize(
    ("dice", "error", "text"),
    [(0.86, 0.05, "likely good"), (0.82, 0.05, "look at it"), (0.6, 0.05, "do not trust")],
)
def test_without_a_verdict_in_the_summary_the_predicted_dice_decides(
    report, figure, dice, error, text
):
    assert report.verdictText(figure(predicted=PredictedDice(dice, error))) == text


def test_the_warning_names_the_reasons(report, unfamiliar):
    from dataclasses import replace

    text = "This scan is unlike those of the training hospitals"
    assert report.unfamiliarText(unfamiliar) == f"{text}: voxel size 4.0 mm; intensities."
    assert report.unfamiliarText(replace(unfamiliar, reasons=())) == f"{text}."
    assert report.unfamiliarText(replace(unfamiliar, isUnusual=False)) == ""
    assert report.unfamiliarText(None) == ""


NUMBERS = ["30.00", "29.50", "29.00", "31.00"]


def test_the_text_has_a_header_and_tabs_between_the_columns(report, figure):
    text = report.asText([figure(), figure(name="Semi\tnal\nvesicles", agreement=None)])
    header, first, second = text.splitlines()
    assert header.split("\t")[:2] == ["Structure", "Volume (mL)"]
    assert len(header.split("\t")) == 12
    assert first.split("\t") == ["Prostate", *NUMBERS, "0.950", *[""] * 5, "members agree"]
    assert second.split("\t") == ["Semi nal vesicles", *NUMBERS, *[""] * 6, "look at it"]


def test_the_text_of_a_calibrated_result_has_every_figure_and_the_warning(
    report, calibrated, unfamiliar
):
    _header, row, warning = report.asText([calibrated], None, unfamiliar).splitlines()
    assert row.split("\t")[6:] == ["27.9", "34.6", "0.9", "0.86", "0.05", "likely good"]
    assert warning == report.unfamiliarText(unfamiliar)


NAMES = ['Left "lobe", upper', "Prostatadrüse", "two\nlines", " spaces "]


def test_the_csv_file_holds_every_name_and_number(report, figure, tmp_path):
    report.writeFigures([figure(name=name) for name in NAMES], Thresholds(), tmp_path / "f.csv")
    content = (tmp_path / "f.csv").read_bytes()
    assert content.startswith(
        b"structure,volume_ml,members_mean_ml,members_min_ml,members_max_ml,mean_dice,"
        b"interval_low_ml,interval_high_ml,interval_coverage,predicted_dice,predicted_dice_error,"
        b"verdict,verdict_basis,unfamiliar,unfamiliar_reasons\r\n"
    )
    assert b'"Left ""lobe"", upper",30.00' in content
    with (tmp_path / "f.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["structure"] for row in rows] == [name.replace("\n", " ") for name in NAMES]
    assert {row["verdict"] for row in rows} == {"agree"}


def test_a_failed_write_leaves_no_partial_csv_file(report, figure, tmp_path, monkeypatch):
    from FedCrossSlicerLib.errors import InferenceError

    (tmp_path / "f.csv").write_text("before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InferenceError) as caught:
        report.writeFigures([figure()], None, tmp_path / "f.csv")
    assert str(caught.value) == "f.csv cannot be written: No space left on device."
    assert (tmp_path / "f.csv").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["f.csv"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no umask")
def test_a_csv_file_has_the_usual_permissions(report, figure, tmp_path):
    previous = os.umask(0o027)
    try:
        report.writeFigures([figure()], None, tmp_path / "figures.csv")
    finally:
        os.umask(previous)
    assert (tmp_path / "figures.csv").stat().st_mode & 0o777 == 0o666 & ~0o027
    assert [path.name for path in tmp_path.iterdir()] == ["figures.csv"]


def test_a_csv_file_in_a_missing_folder_raises_one_sentence(report, figure, tmp_path):
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError, match=r"^f\.csv cannot be written: No such file"):
        report.writeFigures([figure()], None, tmp_path / "none" / "f.csv")


def test_the_csv_file_of_a_calibrated_result_has_every_figure(
    report, calibrated, figure, unfamiliar, tmp_path
):
    report.writeFigures([calibrated, figure()], None, tmp_path / "f.csv", unfamiliar)
    with (tmp_path / "f.csv").open(encoding="utf-8", newline="") as file:
        first, second = list(csv.reader(file))[1:]
    last = ["yes", "voxel size 4.0 mm.; intensities"]
    assert first[6:] == ["27.9", "34.6", "0.9", "0.86", "0.05", "agree", "predicted_dice", *last]
    assert second[6:] == [*[""] * 5, "agree", "agreement", *last]


def test_a_familiar_scan_and_an_unknown_one_differ_in_the_csv_file(report, figure, unfamiliar):
    from dataclasses import replace

    familiar = replace(unfamiliar, isUnusual=False)
    assert reliability(figure(), **report.unusualness(familiar)).unfamiliar == "no"
    assert reliability(figure(), **report.unusualness(familiar)).unfamiliar_reasons == ""
    assert reliability(figure()).unfamiliar == ""


FORMULAS = ['=HYPERLINK("http://x","y")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)"]


@pytest.mark.parametrize("name", FORMULAS)
def test_a_name_does_not_become_a_formula(report, figure, tmp_path, name):
    report.writeFigures([figure(name=name)], None, tmp_path / "f.csv")
    with (tmp_path / "f.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["structure"] == f"'{name}"
    assert report.asText([figure(name=name)]).splitlines()[1].startswith("'")
