"""A bundle in, a calibrated bundle out."""

import json
from pathlib import Path

import numpy as np
import pytest

import fedcross
from fedcross.calibration.border_sample import BorderSample, near_border, on_network_grid
from fedcross.errors import ConfigError, OutputError
from fedcross.model.bundle import verify_bundle
from fedcross.runtime.reporting import NullReporter
from fedcross.volumes.grid import Grid
from fedcross.volumes.prepare import Prepared
from tiny_federation import write_federation


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a federation of two sites, its bundle, and that bundle calibrated."""
    folder = tmp_path_factory.mktemp("calibrate")
    config = write_federation(folder, cases=4, split=(1, 2, 1))
    fedcross.train(config, folder / "run", device="cpu")
    fedcross.export(folder / "run", folder / "bundle")
    before = contents(folder / "bundle")
    fedcross.calibrate(folder / "bundle", config, folder / "out", device="cpu")
    assert contents(folder / "bundle") == before
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_calibrated_bundle_differs_only_in_what_describes_it(trained: Path) -> None:
    found = verify_bundle(trained / "out").calibration
    assert (found.cases, found.sites, found.pooling) == (4, 2, "shrunk")
    (blob,) = found.structures
    assert (blob.name, blob.cases, blob.sites) == ("Blob", 4, 2)
    before, after = contents(trained / "bundle"), contents(trained / "out")
    assert after.keys() == before.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"configs/metadata.json", "configs/inference.json", "docs/README.md"}
    assert "## Calibration" in (trained / "out" / "docs" / "README.md").read_text(encoding="utf-8")


def test_two_cases_at_once_calibrate_to_the_same_bundle(trained: Path) -> None:
    steps: list[tuple[int, int]] = []

    class Steps(NullReporter):
        def progress(self, done: int, total: int, stage: str) -> None:
            steps.append((done, total))

    fedcross.calibrate(
        trained / "bundle",
        trained / "config.toml",
        trained / "at-once",
        device="cpu",
        workers=2,
        reporter=Steps(),
    )
    assert contents(trained / "at-once") == contents(trained / "out")
    assert steps == [(done, 8) for done in range(1, 9)]


def test_a_zip_is_calibrated_to_a_zip(trained: Path) -> None:
    from fedcross.model.bundle_zip import pack_bundle

    pack_bundle(trained / "bundle", trained / "bundle.zip")
    found = fedcross.calibrate(
        trained / "bundle.zip",
        trained / "config.toml",
        trained / "calibrated.zip",
        parts=("test",),
        sites=["s1"],
        device="cpu",
    )
    assert (found.cases, found.sites) == (1, 1)
    assert found.structures[0].contours == ()
    assert verify_bundle(trained / "calibrated.zip").calibration == found


def test_a_calibrated_bundle_segments_with_its_temperature(trained: Path) -> None:
    out = trained / "out"
    metadata = out / "configs" / "metadata.json"
    temperature = json.loads(metadata.read_text())["fedcross"]["calibration"]["temperature"]
    image = next((trained / "s0" / "images").iterdir())
    plain, warm = (
        fedcross.segment(image, bundle, device="cpu") for bundle in (trained / "bundle", out)
    )
    assert warm.summary.calibration is not None
    sharper = warm.probabilities["Blob"].max() > plain.probabilities["Blob"].max()
    assert sharper == (temperature < 1)
    assert temperature != 1


def test_the_bundle_that_is_read_is_not_replaced(trained: Path) -> None:
    for out in (trained / "bundle", trained / "bundle" / "inside"):
        with pytest.raises(OutputError, match="bundle that is read"):
            fedcross.calibrate(trained / "bundle", trained / "config.toml", out, device="cpu")
    with pytest.raises(OutputError, match="not a bundle"):
        fedcross.calibrate(trained / "bundle", trained / "config.toml", trained / "s0")


def test_an_unknown_part_is_refused_and_nothing_is_written(trained: Path) -> None:
    with pytest.raises(ConfigError, match="'last'"):
        fedcross.calibrate(
            trained / "bundle", trained / "config.toml", trained / "none", parts=("last",)
        )
    assert not (trained / "none").exists()


def grids(source: Grid, spacing_mm: tuple[float, float, float]) -> Prepared:
    return Prepared(np.empty((0,) * 4, np.float32), source.with_spacing(spacing_mm), source, source)


STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def test_labels_on_the_networks_grid_are_those_of_the_nearest_voxels() -> None:
    prepared = grids(Grid((6, 1, 1), (1.0, 1.0, 1.0), (0, 0, 0), STRAIGHT), (2.0, 1.0, 1.0))
    labels = np.array([[[1, 1, 0, 0, 2, 2]]], np.uint8)
    assert on_network_grid(labels, prepared).ravel().tolist() == [1, 0, 2]
    same = grids(prepared.source, (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(on_network_grid(labels, same), labels)


def test_voxels_near_a_border_are_chosen_by_their_distance_in_mm() -> None:
    labels = np.zeros((1, 1, 12), np.uint8)
    labels[..., 6:] = 1
    near = near_border(labels, (1.0, 1.0, 4.0))  # the border voxels are 5 and 6
    assert np.flatnonzero(near).tolist() == [3, 4, 5, 6, 7, 8]
    assert not near_border(np.ones((2, 3, 4), np.uint8), (1.0, 1.0, 1.0)).any()


def test_the_sample_holds_every_members_probabilities_at_the_same_voxels() -> None:
    prepared = grids(Grid((4, 3, 5), (1.0, 1.0, 1.0), (0, 0, 0), STRAIGHT), (1.0, 1.0, 1.0))
    truth = np.zeros((5, 3, 4), np.uint8)
    truth[2:] = 1
    members = np.random.default_rng(1).random((2, 2, 5, 3, 4)).astype(np.float32)
    sample = BorderSample(truth, members=2, classes=2)
    for index, member in enumerate(members):
        for part in (slice(0, 2), slice(2, 5)):
            sample(index, (part, member[:, part]), prepared)
    np.testing.assert_array_equal(sample.labels, truth.ravel())
    np.testing.assert_array_equal(sample.probabilities, members.reshape(2, 2, -1))
