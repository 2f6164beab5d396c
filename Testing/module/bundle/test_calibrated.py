"""The fields of a summary that only a calibrated bundle gives."""

import json

import pytest

from fedcross.contract.files import SUMMARY
from fedcross.contract.verdict import PredictedDice, Verdict


@pytest.fixture
def read(loaded, volume, tmp_path):
    """Changes the summary of a calibrated result and reads it."""
    from fake_child import write_result

    from FedCrossSlicerLib.bundle.summary import readResult
    from FedCrossSlicerLib.tasks.export import exportVolume

    exportVolume(volume, tmp_path / "volume.nrrd")
    write_result(tmp_path / "volume.nrrd", tmp_path / "result", "std", calibrated=True)

    def change_and_read(change=lambda summary: None):
        path = tmp_path / "result" / SUMMARY
        summary = json.loads(path.read_text(encoding="utf-8"))
        change(summary)
        path.write_text(json.dumps(summary), encoding="utf-8")
        return readResult(tmp_path / "result")

    return change_and_read


def structure(**changes):
    """A change of the first structure's entry."""
    return lambda summary: summary["structures"][0].update(changes)


def familiarity(**changes):
    return lambda summary: summary["familiarity"].update(changes)


def test_every_field_is_read(read):
    result = read()
    (prostate,) = result.structures
    assert prostate.interval is not None
    assert (prostate.interval.low, prostate.interval.high) == (27.9, 34.6)
    assert prostate.interval.coverage == 0.9
    assert prostate.predicted == PredictedDice(0.86, 0.05)
    assert prostate.judged is Verdict.AGREE
    assert result.familiarity is not None
    assert result.familiarity.isUnusual
    assert result.familiarity.reasons[1] == "intensities"
    assert result.contours in result.files
    assert result.contours.is_file()


def test_every_field_may_be_null_or_missing(read):
    fields = ("interval_ml", "interval_coverage", "predicted_dice", "predicted_dice_error")
    (prostate,) = read(structure(**dict.fromkeys(fields))).structures
    assert (prostate.interval, prostate.predicted, prostate.judged) == (None, None, None)

    def forget(summary):
        for field in (*fields, "verdict", "verdict_basis"):
            del summary["structures"][0][field]
        del summary["familiarity"], summary["files"]["contours"]

    result = read(forget)
    assert result.structures == (prostate,)
    assert (result.familiarity, result.contours) == (None, None)
    assert read(lambda s: s.update(familiarity=None)).familiarity is None


def test_an_interval_without_its_coverage_is_none(read):
    assert read(structure(interval_coverage=None)).structures[0].interval is None


def test_a_verdict_from_the_agreement_is_not_read(read):
    (prostate,) = read(structure(verdict_basis="agreement", verdict="distrust")).structures
    assert (prostate.predicted, prostate.judged) == (None, None)


def test_the_names_and_reasons_are_cleaned_and_cut(read):
    reasons = ["left\u202eright\x1b[0m", "", "x" * 1000, *["more"] * 1000]
    result = read(familiarity(reasons=reasons))
    assert result.familiarity.reasons == (
        "left?right?[0m",
        "x" * 117 + "...",
        "more",
        "more",
    )
    result = read(lambda s: s["bundle"].update(name="a\nb\u2066"))
    assert result.bundleName == "a b?"
    assert read(structure(name="Pro\nstate" + "x" * 500)).structures[0].name[:9] == "Pro state"
    assert len(read().structures[0].name) == 200


@pytest.mark.parametrize(
    "change",
    [
        structure(interval_ml=[34.6, 27.9]),
        structure(interval_ml=[-1.0, 27.9]),
        structure(interval_ml=[1.0]),
        structure(interval_ml="wide"),
        structure(interval_ml=[1.0, float("inf")]),
        structure(interval_coverage=90),
        structure(interval_coverage=1.0),
        structure(predicted_dice=1.2),
        structure(predicted_dice_error=-0.1),
        structure(predicted_dice="good"),
        structure(verdict="splendid"),
        familiarity(is_unusual="yes"),
        familiarity(reasons="modality"),
        familiarity(score=float("nan")),
        familiarity(false_alarm_rate=5),
        lambda s: s["familiarity"].pop("limit"),
        lambda s: s.update(familiarity=[]),
    ],
)
def test_a_wrong_value_raises_one_sentence(read, change):
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError, match="damaged or incomplete"):
        read(change)
