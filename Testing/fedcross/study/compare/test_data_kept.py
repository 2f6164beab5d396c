"""Each case is read once: over rounds, over methods, and over runs with a cache."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk

from fedcross.federate.local.engine import run_local
from fedcross.study.compare.compare import compare
from fedcross.training.config.file import load_config
from fedcross.volumes.files.read import read_volume
from tiny_federation import write_federation

IMAGES = [f"s{site}/images/case-{case}.nii.gz" for site in range(2) for case in range(3)]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each image was read, by its place in the federation."""
    counted: Counter[str] = Counter()

    def read(path: Path, **options: Any) -> sitk.Image:
        if path.parent.name == "images":
            counted["/".join(path.parts[-3:])] += 1
        return read_volume(path, **options)

    monkeypatch.setattr("fedcross.training.data.reading.read_volume", read)
    return counted


def test_a_case_is_read_once_whatever_the_number_of_rounds(
    tmp_path: Path, reads: Counter[str]
) -> None:
    config = load_config(write_federation(tmp_path / "data", rounds=3))
    run_local(config, tmp_path / "run", device="cpu")
    assert reads == dict.fromkeys(IMAGES, 1)  # test cases too: when the training is over


def test_all_methods_of_a_comparison_use_the_same_cases_in_memory(
    tmp_path: Path, reads: Counter[str]
) -> None:
    config = load_config(write_federation(tmp_path / "data", rounds=1, split=(2, 1, 0)))
    compare(config, tmp_path / "out", methods="fedcross,fedavg", seeds=1, device="cpu")
    assert reads == dict.fromkeys(IMAGES, 1)


def test_another_run_reads_only_cases_that_are_not_in_the_cache(
    tmp_path: Path, reads: Counter[str]
) -> None:
    path = write_federation(tmp_path / "data", rounds=1, local_epochs=0, split=(2, 1, 0))
    for run in ("first", "second"):
        config = load_config(path, cache=tmp_path / "cache")
        run_local(config, tmp_path / run, device="cpu")
    assert reads == dict.fromkeys(IMAGES, 1)
