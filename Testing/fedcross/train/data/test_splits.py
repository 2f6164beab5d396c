from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcross.errors import DataError
from fedcross.train.data.splits import PARTS, SiteCases, split_by_count, split_by_name
from fedcross.train.data.volumes import CaseFiles


def case(name: str, patient: str = "") -> CaseFiles:
    return CaseFiles(name, Path(f"{name}.nii"), Path(f"{name}-label.nii"), patient)


def patients_of(split: SiteCases, part: str) -> set[str]:
    return {each.patient for each in getattr(split, part)}


scans_of_patients = st.lists(st.integers(1, 4), min_size=3, max_size=12)


@settings(max_examples=60, deadline=None)
@given(scans_of_patients, st.integers(0, 2**32), st.data())
def test_a_split_has_the_numbers_asked_for_and_no_patient_in_two_parts(
    scans: list[int], seed: int, data: st.DataObject
) -> None:
    cases = [case(f"{p}-{scan}", f"p{p}") for p, count in enumerate(scans) for scan in range(count)]
    counts = [data.draw(st.integers(low, len(cases) // 3)) for low in (1, 0, 0)]
    try:
        split = split_by_count("north", cases, (counts[0], counts[1], counts[2]), seed)
    except DataError:
        assert max(scans) > 1, "patients of one scan each always fit"
        return
    assert [len(getattr(split, part)) for part in PARTS] == counts
    patients = [patients_of(split, part) for part in PARTS]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert not patients[first] & patients[second]
    names = [each.name for _, part in split.parts() for each in part]
    assert sorted(names) == sorted(each.name for each in cases)


def test_a_split_depends_on_the_seed_and_the_sites_name_only() -> None:
    cases = [case(f"c{n}") for n in range(6)]
    first = split_by_count("north", cases, (3, 1, 1), 7)
    assert first == split_by_count("north", cases[::-1], (3, 1, 1), 7)
    assert first == split_by_count("north", [case(c.name) for c in cases], (3, 1, 1), 7)
    assert first != split_by_count("north", cases, (3, 1, 1), 8)
    assert first != split_by_count("south", cases, (3, 1, 1), 7)


def test_patients_with_several_scans_are_arranged_to_give_the_numbers() -> None:
    # Patients have 3, 1 and 2 scans: only 3 + 1 for training and 2 for the test give the numbers.
    cases = [case(f"a{n}", "a") for n in range(3)] + [case("b", "b")]
    cases += [case(f"c{n}", "c") for n in range(2)]
    for seed in range(20):
        split = split_by_count("north", cases, (4, 0, 2), seed)
        assert (patients_of(split, "train"), patients_of(split, "test")) == ({"a", "b"}, {"c"})


def test_the_error_of_an_impossible_split_gives_the_numbers() -> None:
    with pytest.raises(DataError, match=r"2 cases, but its split \[2, 1, 0\] needs 3\."):
        split_by_count("north", [case("a"), case("b")], (2, 1, 0), 0)
    twins = [case(f"a{n}", "a") for n in range(4)]
    with pytest.raises(DataError, match=r"4 cases of site north .*\[2, 1, 1\].* its 1 patients"):
        split_by_count("north", twins, (2, 1, 1), 0)


def test_a_split_by_names_keeps_their_order() -> None:
    cases = [case("a"), case("b"), case("c")]
    split = split_by_name("north", cases, {"train": ["c", "a"], "validation": [], "test": []})
    assert split.names() == {"train": ["c", "a"], "validation": [], "test": [], "unused": ["b"]}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"train": ["a", "z"], "validation": [], "test": []}, "names z, which does not exist"),
        ({"train": ["a"], "validation": [], "test": ["a"]}, "names a twice"),
        ({"train": [], "validation": ["a"], "test": []}, "no training case"),
        (
            {"train": ["a"], "validation": [], "test": ["b"]},
            "Cases a and b of site north belong to one patient, but one is in the part train and",
        ),
    ],
)
def test_an_error_in_a_split_by_names_names_it(names: dict[str, list[str]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_by_name("north", [case("a", "anna"), case("b", "anna")], names)
