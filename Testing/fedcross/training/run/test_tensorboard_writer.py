from pathlib import Path

import numpy as np
import pytest
import torch

from fedcross.errors import ConfigError
from fedcross.training.data.volumes import Volume
from fedcross.training.run.folder import RunFolder
from fedcross.training.run.tensorboard_writer import FOLDER, TensorBoardWriter, picture

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TensorBoard's own


def case() -> Volume:
    """Only the second of three slices has labelled voxels and an intensity of 5."""
    image = torch.zeros(3, 2, 2)
    image[1] = 5.0
    label = torch.zeros(3, 2, 2, dtype=torch.uint8)
    label[1, 0, 0] = 1
    return Volume("case", image[None], label)


def constant(foreground: float) -> np.ndarray:
    probabilities = np.zeros((2, 3, 2, 2), dtype=np.float32)
    probabilities[1], probabilities[0] = foreground, 1 - foreground
    return probabilities


def test_a_picture_shows_image_truth_mean_and_twice_the_spread() -> None:
    shown = picture(case(), [constant(0.2), constant(0.6)])
    assert shown.shape == (2, 8)
    assert shown.dtype == np.float32
    image, truth, mean, spread = np.split(shown, 4, axis=1)
    assert (image == 1).all()  # brighter than the range that is shown
    assert truth.tolist() == [[1, 0], [0, 0]]
    np.testing.assert_allclose(mean, 0.4, rtol=1e-6)
    np.testing.assert_allclose(spread, 0.4, rtol=1e-6)  # twice the deviation of 0.2 and 0.6


def test_the_file_has_the_scalars_and_one_picture_per_site_and_round(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = RunFolder(tmp_path)
    with TensorBoardWriter(run) as writer:
        for number in (1, 2):
            run.add_metrics(round=number, member=0, site="s", loss=0.5 / number)
            for _ in range(3):
                writer.show("s", case(), [constant(0.2), constant(0.6)])
            run.add_metrics(round=number, validation={"mean": 0.75, "s": 0.75})
    run.add_metrics(round=3, validation={"mean": 0.9})  # after the context
    found = EventAccumulator(str(tmp_path / FOLDER)).Reload()
    losses = [(event.step, event.value) for event in found.Scalars("loss/member 0")]
    assert losses == [(1, 0.5), (2, 0.25)]
    assert [event.step for event in found.Scalars("validation/mean")] == [1, 2]
    assert [event.step for event in found.Images("cases/s")] == [1, 2]


def test_without_tensorboard_an_error_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="not installed"):
        TensorBoardWriter(RunFolder(tmp_path))
