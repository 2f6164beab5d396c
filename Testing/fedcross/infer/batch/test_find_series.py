"""Many cases: the volumes of a tree of DICOM folders."""

from pathlib import Path
from typing import Any

import pytest

from dicom_files import SERIES, make_volume, write_enhanced, write_series
from fedcross.errors import DataError
from fedcross.infer.batch.case import Case
from fedcross.infer.batch.find_series import find_series_cases
from fedcross.runtime.reporting import NullReporter
from fedcross.volumes.files.read import read_volume

OTHER = "1.2.826.0.1.3680043.10.1.8"


class Lines(NullReporter):
    def __init__(self) -> None:
        self.found: list[str] = []

    def log(self, message: str) -> None:
        self.found.append(message)


def find(root: Path, modality: str = "MR") -> tuple[list[Case], list[str]]:
    lines = Lines()
    return find_series_cases(root, modality, lines), lines.found


def test_every_series_of_a_tree_is_a_case_with_its_uid_as_name(tmp_path: Path) -> None:
    write_series(tmp_path / "Doe^Jane" / "study" / "a")
    write_series(tmp_path / "Doe^Jane" / "study" / "b", make_volume((7, 5, 4)), uid=OTHER)
    write_enhanced(tmp_path / "enhanced.dcm", change_all=lambda d, _k: setattr(d, *ENHANCED))
    cases, lines = find(tmp_path)
    assert [case.name for case in cases] == [ENHANCED[1], SERIES, OTHER]
    assert lines == []
    for case in cases:
        assert read_volume(case.images[0], case.series).GetSize()[:2] == (4, 5)
    assert read_volume(cases[2].images[0], cases[2].series).GetSize() == (4, 5, 7)


ENHANCED = ("SeriesInstanceUID", "1.2.826.0.1.3680043.10.1.9")


def test_two_series_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    write_series(tmp_path / "s", make_volume((7, 5, 4)), uid=OTHER, prefix="B")
    cases, _ = find(tmp_path)
    sizes = [read_volume(case.images[0], case.series).GetSize()[2] for case in cases]
    assert sorted(zip((case.name for case in cases), sizes, strict=True)) == [
        (SERIES, 6),
        (OTHER, 7),
    ]


def test_two_volumes_of_one_series_get_a_number(tmp_path: Path) -> None:
    def echo(dataset: Any, k: int) -> None:
        dataset.EchoTime, dataset.SOPInstanceUID = 20, f"{SERIES}.2.{k}"

    write_series(tmp_path / "s", change=lambda d, _k: setattr(d, "EchoTime", 10))
    write_series(tmp_path / "s", change=echo, prefix="B")
    cases, _ = find(tmp_path)
    assert [case.name for case in cases] == [SERIES, f"{SERIES}-2"]
    first, second = (read_volume(case.images[0], case.series) for case in cases)
    assert first.GetSize() == second.GetSize() == (4, 5, 6)


def test_a_series_that_lies_in_two_folders_is_one_case(tmp_path: Path) -> None:
    write_series(tmp_path / "x" / "all")
    for name in ("one", "two"):
        (tmp_path / "x" / name).mkdir()
    for index, path in enumerate(sorted((tmp_path / "x" / "all").iterdir())):
        path.rename(tmp_path / "x" / ("one" if index < 3 else "two") / path.name)
    (case,) = find(tmp_path)[0]
    assert (case.name, case.images) == (SERIES, (tmp_path / "x",))
    assert read_volume(case.images[0], case.series).GetSize() == (4, 5, 6)


def test_single_slices_and_other_modalities_are_left_out_and_counted(tmp_path: Path) -> None:
    write_series(tmp_path / "a")
    write_series(tmp_path / "scout", make_volume((1, 5, 4)), uid=OTHER)
    change = lambda dataset, _k: setattr(dataset, "Modality", "CT")  # noqa: E731
    write_series(tmp_path / "ct", change=change, uid=f"{OTHER}.5")
    cases, lines = find(tmp_path)
    assert [case.name for case in cases] == [SERIES]
    assert lines == ["Left out: single slices (1), volumes of the modality CT (1)."]
    assert len(find(tmp_path, "")[0]) == 2


def test_a_damaged_series_is_a_case_with_a_problem_and_the_others_are_found(tmp_path: Path) -> None:
    write_series(tmp_path / "good")
    write_series(tmp_path / "study one" / "bad", uid=OTHER)
    (tmp_path / "study one" / "bad" / "IM003.dcm").write_bytes(b"")
    good, bad = find(tmp_path)[0]
    assert (good.name, good.problem) == (SERIES, None)
    assert (bad.name, type(bad.problem)) == ("study_one-bad", DataError)


def test_a_tree_without_volumes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(DataError, match="There is no volume below"):
        find(tmp_path)
    with pytest.raises(DataError, match="There is no folder named absent"):
        find(tmp_path / "absent")
