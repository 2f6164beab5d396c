import os
from pathlib import Path

import pytest

from fedcross.errors import CheckpointError
from fedcross.runtime.files.lock import folder_lock
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.folder import RunFolder
from fedcross.training.run.opening import open_run


def test_a_run_stores_its_configuration_without_paths(
    config: TrainingConfig, run_path: Path
) -> None:
    with open_run(run_path, config, resume=False) as run:
        assert run.exists
    again = RunFolder(run_path).configuration()
    assert again == config.model_copy(update={"data_root": again.data_root})
    text = (run_path / "config.json").read_text(encoding="utf-8")
    assert str(config.data_root) not in text


def test_a_folder_in_use_by_a_running_process_is_refused(
    config: TrainingConfig, run_path: Path
) -> None:
    with (
        open_run(run_path, config, resume=False),
        pytest.raises(CheckpointError, match=f"run is in use by process {os.getpid()}"),
        open_run(run_path, config, resume=True),
    ):
        pass


def test_a_folder_in_which_another_process_writes_its_first_file_is_in_use(
    config: TrainingConfig, run_path: Path
) -> None:
    run_path.mkdir()
    with folder_lock(run_path / "run.lock"):
        (run_path / ".partial-config.json").touch()
        with (
            pytest.raises(CheckpointError, match=f"run is in use by process {os.getpid()}"),
            open_run(run_path, config, resume=False),
        ):
            pass


def test_the_lock_file_of_an_ended_process_is_ignored(
    config: TrainingConfig, run_path: Path
) -> None:
    run_path.mkdir()
    (run_path / "run.lock").write_text(f"{os.getpid()}\n", encoding="ascii")
    with open_run(run_path, config, resume=False) as run:
        assert run.exists


def test_an_existing_run_is_not_overwritten(config: TrainingConfig, run_path: Path) -> None:
    with open_run(run_path, config, resume=False) as run:
        run.record_plan({"s0": {"train": ["a"]}}, ((0,),))
    with (
        pytest.raises(CheckpointError, match=r"already holds a run\. Add --resume"),
        open_run(run_path, config, resume=False),
    ):
        pass


def test_a_run_whose_data_were_never_read_may_be_started_with_another_configuration(
    config: TrainingConfig, run_path: Path
) -> None:
    with open_run(run_path, config, resume=False):
        pass
    other = config.model_copy(update={"seed": config.seed + 1})
    with open_run(run_path, other, resume=False) as run:
        assert run.configuration().seed == other.seed


def test_a_folder_with_other_files_is_refused(config: TrainingConfig, run_path: Path) -> None:
    run_path.mkdir()
    (run_path / "thesis.tex").touch()
    with (
        pytest.raises(CheckpointError, match="not empty and holds no run"),
        open_run(run_path, config, resume=False),
    ):
        pass


def test_resuming_without_a_run_is_refused_and_creates_no_folder(
    config: TrainingConfig, run_path: Path
) -> None:
    with (
        pytest.raises(CheckpointError, match="no run in run to resume"),
        open_run(run_path, config, resume=True),
    ):
        pass
    assert not run_path.exists()


def test_a_folder_that_cannot_be_created_is_reported(
    config: TrainingConfig, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(CheckpointError, match="run folder run cannot be made: Not a directory"),
        open_run(tmp_path / "file" / "run", config, resume=False),
    ):
        pass


def test_resuming_with_another_configuration_names_the_keys_that_differ(
    config: TrainingConfig, run_path: Path
) -> None:
    with open_run(run_path, config, resume=False):
        pass
    training = config.training.model_copy(update={"learning_rate": 0.5})
    site = config.sites[1].model_copy(update={"split": (1, 2, 0)})
    other = config.model_copy(update={"training": training, "sites": (config.sites[0], site)})
    with pytest.raises(CheckpointError) as caught, open_run(run_path, other, resume=True):
        pass
    message = str(caught.value)
    assert "training.learning_rate (was 0.01, is 0.5)" in message
    assert "sites.1.split (was [1, 1, 1], is [1, 2, 0])" in message
    assert "momentum" not in message


def test_a_run_that_may_not_grow_is_not_resumed_with_more_rounds_and_says_so(
    config: TrainingConfig, run_path: Path
) -> None:
    with open_run(run_path, config, resume=False):
        pass
    method = config.method.model_copy(update={"rounds": config.method.rounds + 1})
    with (
        pytest.raises(CheckpointError, match=r"method\.rounds \(was 2, is 3\)") as caught,
        open_run(run_path, config.model_copy(update={"method": method}), resume=True),
    ):
        pass
    assert caught.value.hint == "Use the original configuration, or another folder."
