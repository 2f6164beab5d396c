import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import dataset_trees
from fedcross.errors import DataError
from fedcross.runtime.reporting import NullReporter
from fedcross.training.config.file import load_config
from fedcross.training.data import cache as cache_module
from fedcross.training.data.cache import IMAGE, LABEL, VolumeCache, cache_key
from fedcross.training.data.sites import find_all_cases, load_sites, load_volume
from fedcross.training.data.volumes import CaseFiles, ImageFile, Volume
from fedcross.training.step.visit import visit
from fedcross.volumes.preprocessing import Preprocessing
from tiny_federation import write_federation

PLAIN = Preprocessing(spacing_mm=(1.0, 1.0, 2.0), patch_size=(16, 16, 16))


@pytest.fixture
def case(tmp_path: Path) -> CaseFiles:
    image, label = tmp_path / "i.nii.gz", tmp_path / "l.nii.gz"
    dataset_trees.write_pair(image, label, 0)
    return CaseFiles("anna", image, label)


class Warnings(NullReporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def warning(self, message: str) -> None:
        self.messages.append(message)


def refuse() -> Volume:
    raise AssertionError("the case was read again")


def equal(first: Volume, second: Volume) -> bool:
    return torch.equal(first.image, second.image) and torch.equal(first.label, second.label)


def load_cached(folder: Path, case: CaseFiles) -> Volume:
    return load_volume(case, {1: 1}, PLAIN, "north", VolumeCache(folder, pytest.fail))


def test_a_cached_volume_is_bitwise_equal_and_is_not_made_again(
    tmp_path: Path, case: CaseFiles
) -> None:
    plain = load_volume(case, {1: 1}, PLAIN, "north")
    assert equal(load_cached(tmp_path / "cache", case), plain)
    cache = VolumeCache(tmp_path / "cache", pytest.fail)
    again = cache.volume("ben", cache_key(case, {1: 1}, PLAIN), refuse)
    assert equal(again, plain)
    assert again.name == "ben"


def test_the_key_covers_files_channel_label_map_and_preprocessing(
    tmp_path: Path, case: CaseFiles
) -> None:
    def key(case: CaseFiles = case, label_map: object = None, **preprocessing: object) -> str:
        settings = Preprocessing.model_validate(PLAIN.model_dump() | preprocessing)
        return cache_key(case, label_map or {1: 1}, settings)  # type: ignore[arg-type]

    first = key()
    assert key(replace(case, name="ben", patient="p")) == first
    assert key(overlap=0.7, patch_size=(32, 32, 32), modality="CT") == first
    keys = {
        first,
        key(label_map={1: 2}),
        key(spacing_mm=(1.0, 1.0, 1.0)),
        key(intensity="zscore-nonzero"),
        key(intensity="percentile"),
        key(intensity="percentile", percentiles=(1, 99)),
        key(replace(case, channel=0)),
        key(replace(case, resample_label=True)),
        key(replace(case, image=case.label, label=case.image)),
    }
    assert len(keys) == 9
    dataset_trees.write_pair(case.image, case.label, 1)
    assert key() not in keys


def test_the_key_covers_detached_voxel_files_and_every_dicom_slice(tmp_path: Path) -> None:
    dataset_trees.write_promise12(tmp_path / "p", cases=1)
    dataset_trees.write_nci_isbi_2013(tmp_path / "n")
    (series,) = (tmp_path / "n").glob("manifest-123/*/Prostate3T-01-0001/*/*")
    part = tmp_path / "p" / "TrainingData_Part1"
    for image, file in ((part / "Case00.mhd", part / "Case00.raw"), (series, series / "1-04.dcm")):
        case = CaseFiles("anna", image, part / "Case00_segmentation.mhd")
        before = cache_key(case, {1: 1}, PLAIN)
        file.write_bytes(file.read_bytes()[:-1] + b"7")
        assert cache_key(case, {1: 1}, PLAIN) != before


@pytest.mark.parametrize("name", [IMAGE, LABEL])
@pytest.mark.parametrize("damage", [b"", b"no array", -1, +1])
def test_a_volume_with_a_damaged_file_is_made_again(
    tmp_path: Path, case: CaseFiles, name: str, damage: bytes | int
) -> None:
    first = load_cached(tmp_path / "cache", case)
    path = tmp_path / "cache" / cache_key(case, {1: 1}, PLAIN) / name
    content = path.read_bytes()
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        path.write_bytes(content[:damage] if damage < 0 else content + b"x")
    assert equal(load_cached(tmp_path / "cache", case), load_volume(case, {1: 1}, PLAIN, "north"))
    assert path.read_bytes() == content
    assert first.image.shape == (1, *first.label.shape)


def test_a_volume_whose_image_and_label_differ_in_shape_is_made_again(
    tmp_path: Path, case: CaseFiles
) -> None:
    load_cached(tmp_path / "cache", case)
    place = tmp_path / "cache" / cache_key(case, {1: 1}, PLAIN)
    np.save(place / LABEL, np.zeros((1, 2, 3), np.uint8))
    assert equal(load_cached(tmp_path / "cache", case), load_volume(case, {1: 1}, PLAIN, "north"))


def test_a_volume_that_version_0_1_0_cached_is_read(tmp_path: Path, case: CaseFiles) -> None:
    """It has no axis of channels."""
    first = load_cached(tmp_path / "cache", case)
    place = tmp_path / "cache" / cache_key(case, {1: 1}, PLAIN)
    np.save(place / IMAGE, np.full(first.label.shape, 7, np.float32))
    again = load_cached(tmp_path / "cache", case)
    assert again.image.shape == first.image.shape
    assert (again.image == 7).all()


def test_the_key_depends_on_every_channel(tmp_path: Path, case: CaseFiles) -> None:
    def key(*further: ImageFile) -> str:
        return cache_key(replace(case, further=further), {1: 1}, PLAIN)

    other = tmp_path / "other.nrrd"
    other.write_bytes(b"one")
    first = key(ImageFile(other))
    assert len({first, key(), key(ImageFile(other, 1)), key(ImageFile(case.image))}) == 4
    other.write_bytes(b"two")
    assert key(ImageFile(other)) != first


def test_changes_of_a_cached_volume_in_memory_are_not_written_to_disk(
    tmp_path: Path, case: CaseFiles
) -> None:
    load_cached(tmp_path / "cache", case).image.zero_()
    assert load_cached(tmp_path / "cache", case).image.abs().max() > 0


def test_an_unreadable_case_leaves_no_files(tmp_path: Path, case: CaseFiles) -> None:
    case.label.write_bytes(b"no image")
    with pytest.raises(DataError, match="Case anna of site north"):
        load_cached(tmp_path / "cache", case)
    assert not (tmp_path / "cache").exists()


def test_a_cache_on_a_full_disk_is_a_warning_and_keeps_no_partial_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def full(path: Path, array: object) -> None:
        tries.append(path)
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "_write", full)
    path = write_federation(tmp_path)
    config, warnings = load_config(path, cache=tmp_path / "kept"), Warnings()
    cached = load_sites(config, find_all_cases(config), warnings)
    plain = load_sites(load_config(path), find_all_cases(config))
    for site, other in zip(cached, plain, strict=True):
        assert all(equal(a, b) for a, b in zip(site.train, other.train, strict=True))
    (warning,) = warnings.messages
    assert "kept cannot be written: No space left on device. Preprocessed cases stay in" in warning
    assert len(tries) == 1
    assert not (tmp_path / "kept").exists()


def _load_repeatedly(folder: Path, case: CaseFiles, barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    for _ in range(5):
        volume = load_cached(folder, case)
        assert equal(volume, load_volume(case, {1: 1}, PLAIN, "north"))


def test_processes_that_write_the_same_volume_at_once_all_receive_it(
    tmp_path: Path, case: CaseFiles
) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    arguments = (tmp_path / "cache", case, barrier)
    workers = [context.Process(target=_load_repeatedly, args=arguments) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    (only,) = (tmp_path / "cache").iterdir()
    assert sorted(path.name for path in only.iterdir()) == [IMAGE, LABEL]


def test_a_run_with_a_cache_trains_the_same_member_and_reads_every_case_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu: torch.device
) -> None:
    path = write_federation(tmp_path, extra="")
    path.write_text('cache = "kept"\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    config = load_config(path)
    assert config.cache == (tmp_path / "kept").absolute()
    assert load_config(path, cache=tmp_path / "other").cache == (tmp_path / "other").absolute()
    in_memory = config.model_copy(update={"cache": None})
    found = find_all_cases(config)
    plain, cached = load_sites(in_memory, found), load_sites(config, found)
    monkeypatch.setattr("fedcross.training.data.sites.read_case", lambda *_: refuse())
    again = load_sites(config, found)
    from fedcross.strategies.member import new_member

    member = new_member(0, config.network, seed=1)
    results = [visit(member, sites[0], 0, config, cpu)[0] for sites in (plain, cached, again)]
    for other in results[1:]:
        for name, tensor in results[0].weights.items():
            assert torch.equal(tensor, other.weights[name])
