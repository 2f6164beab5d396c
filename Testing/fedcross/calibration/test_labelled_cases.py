"""A bundle on labelled cases: which cases, with which labels."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

import fedcross
from fedcross.calibration.labelled_cases import (
    LabelledCase,
    doubt_training_cases,
    find_labelled_cases,
)
from fedcross.calibration.segmented_cases import SegmentedCase, segment_case
from fedcross.errors import ConfigError, DataError
from fedcross.model.bundle import Bundle
from fedcross.training.config.configuration import TrainingConfig
from tiny_federation import write_federation


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    """A configuration of two sites with a case in each part, and a bundle trained with it."""
    folder = tmp_path_factory.mktemp("labelled")
    config = write_federation(folder)
    fedcross.train(config, folder / "run", device="cpu")
    return config, fedcross.export(folder / "run", folder / "bundle")


def changed(path: Path, **changes: Any) -> TrainingConfig:
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    return fedcross.load_config(values | changes, data_root=path.parent)


def test_the_cases_of_the_chosen_parts_and_sites_are_found(trained: tuple[Path, Bundle]) -> None:
    path, bundle = trained
    config = fedcross.load_config(path)
    cases = find_labelled_cases(config, bundle.manifest)
    assert [(case.site, case.part) for case in cases] == [("s0", "test"), ("s1", "test")]
    both = find_labelled_cases(config, bundle.manifest, parts=("validation", "test"), sites=["s1"])
    assert [(case.site, case.part) for case in both] == [("s1", "validation"), ("s1", "test")]


def test_a_case_is_segmented_beside_its_drawn_label_map(trained: tuple[Path, Bundle]) -> None:
    path, bundle = trained
    case = find_labelled_cases(fedcross.load_config(path), bundle.manifest)[0]

    def finish(segmented: SegmentedCase) -> tuple[Any, ...]:
        labels, summary = segmented.result.labels.copy(), segmented.summary
        return segmented.case, segmented.truth, labels, summary.structures[0].name

    found, truth, labels, name = segment_case(case, bundle, finish)
    drawn = sitk.GetArrayFromImage(sitk.ReadImage(str(case.files.label)))
    assert found is case
    assert name == "Blob"
    np.testing.assert_array_equal(truth, drawn)
    same = fedcross.segment(case.files.image, bundle)
    np.testing.assert_array_equal(labels, same.labels)


def test_structures_are_matched_by_name_and_not_by_label(trained: tuple[Path, Bundle]) -> None:
    path, bundle = trained
    structures = [{"name": "Other", "label": 1}, {"name": "Blob", "label": 2}]
    (first, _) = find_labelled_cases(changed(path, structures=structures), bundle.manifest)
    assert first.label_map == {1: 0, 2: 1}
    assert first.missing == ()


def test_a_structure_that_was_not_drawn_at_a_site_is_missing_there(
    trained: tuple[Path, Bundle],
) -> None:
    path, bundle = trained
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    structures = [{"name": "Blob", "label": 1}, {"name": "Other", "label": 2}]
    sites = [{**site, "labels_missing": ["Other"]} for site in values["sites"]]
    sites[1] = {**sites[1], "labels_missing": ["Blob"], "label_map": {1: 2}}
    config = changed(path, structures=structures, sites=sites)
    first, second = find_labelled_cases(config, bundle.manifest)
    assert (first.label_map, first.missing) == ({1: 1}, ())
    assert (second.label_map, second.missing) == ({1: 0}, (1,))
    assert [s.name for s in first.drawn(bundle.manifest.structures)] == ["Blob"]
    assert second.drawn(bundle.manifest.structures) == []


def test_a_bundle_with_no_structure_of_the_configuration_is_refused(
    trained: tuple[Path, Bundle],
) -> None:
    path, bundle = trained
    config = changed(path, structures=[{"name": "Liver", "label": 1}])
    with pytest.raises(ConfigError, match="segments Blob, but the configuration has Liver"):
        find_labelled_cases(config, bundle.manifest)


def test_unknown_parts_and_sites_are_named(trained: tuple[Path, Bundle]) -> None:
    path, bundle = trained
    config = fedcross.load_config(path)
    with pytest.raises(ConfigError, match="no part 'tests'"):
        find_labelled_cases(config, bundle.manifest, parts=("tests",))
    with pytest.raises(ConfigError, match="no site 's9'"):
        find_labelled_cases(config, bundle.manifest, sites=["s9"])


def test_a_choice_without_a_case_is_an_error(trained: tuple[Path, Bundle], tmp_path: Path) -> None:
    _, bundle = trained
    config = fedcross.load_config(write_federation(tmp_path, split=(2, 1, 0)))
    with pytest.raises(DataError, match="no case in the parts test"):
        find_labelled_cases(config, bundle.manifest)


def test_an_error_names_the_case(trained: tuple[Path, Bundle], tmp_path: Path) -> None:
    _, bundle = trained
    config = fedcross.load_config(write_federation(tmp_path))
    case: LabelledCase = find_labelled_cases(config, bundle.manifest)[0]
    case.files.image.write_bytes(b"no image")
    with pytest.raises(DataError, match=f"Case {case.name} of site s0: "):
        segment_case(case, bundle, lambda segmented: segmented)


def test_training_cases_of_the_bundles_own_sites_are_worth_a_warning(
    trained: tuple[Path, Bundle],
) -> None:
    manifest = trained[1].manifest.model_copy(update={"sites": ("s0", "s1")})
    assert doubt_training_cases(["s1", "s2", "s1"], manifest) == (
        "Training cases of s1 are among the cases. If they trained the bundle, all figures are better "
        "than for new scans. Choose other parts."
    )
    assert doubt_training_cases(["s2"], manifest) is None
    assert doubt_training_cases([], manifest) is None


def test_names_of_structures_and_of_a_single_channel_need_no_capitals(
    trained: tuple[Path, Bundle],
) -> None:
    path, bundle = trained
    config = changed(path, structures=[{"name": "blob", "label": 1}])
    assert [case.missing for case in find_labelled_cases(config, bundle.manifest)] == [(), ()]
    steps = {**tomllib.loads(path.read_text(encoding="utf-8"))["preprocessing"], "channels": ["T2"]}
    assert len(find_labelled_cases(changed(path, preprocessing=steps), bundle.manifest)) == 2
