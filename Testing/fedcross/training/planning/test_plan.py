"""Plans of real folders: written, read again, trained."""

import json
from pathlib import Path

import pytest

import fedcross
from fedcross.errors import CheckpointError, ConfigError, DataError, OutputError
from fedcross.runtime.reporting import NullReporter
from fedcross.training.config.configuration import config_sha256
from fedcross.training.config.file import load_config
from fedcross.training.data.sites import find_all_cases
from tiny_federation import write_federation

PLANNED = ("method", "network", "preprocessing", "training")


def write_bare(folder: Path, *keep: str) -> Path:
    """Write a federation whose configuration has only the sections `keep` of those that are planned."""
    path = write_federation(folder, rounds=1)
    kept, lines = True, []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            kept = name not in PLANNED or name in keep
        if kept:
            lines.append(line)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def small(folder: Path) -> Path:
    """A configuration with one short round, a narrow network, small batches and no grid."""
    return write_bare(folder, "method", "network", "training")


def test_a_written_plan_is_the_configuration_that_is_returned(tmp_path: Path) -> None:
    path = write_bare(tmp_path)
    config, text = fedcross.plan(path, tmp_path / "plan.toml", device="cpu")
    assert (tmp_path / "plan.toml").read_text(encoding="utf-8") == text
    assert load_config(tmp_path / "plan.toml") == config
    assert config.preprocessing.spacing_mm == (2.0, 2.0, 2.5)
    assert config.data_root == tmp_path


def test_a_plan_changes_nothing_of_a_configuration_that_was_read(tmp_path: Path) -> None:
    path = write_federation(
        tmp_path, rounds=1
    )  # a preset and a round to keep that records leave out
    config = load_config(path, cache=tmp_path / "cache")
    assert config.augmentation.preset == "paper"
    planned, _ = fedcross.plan(config, tmp_path / "plan.toml", device="cpu")
    assert planned == load_config(tmp_path / "plan.toml") == config
    assert planned.engine.min_sites is None  # all sites, and not the number in a record


def test_a_plan_in_another_folder_finds_the_same_data(tmp_path: Path) -> None:
    path = write_bare(tmp_path / "data")
    (tmp_path / "plans").mkdir()
    config, text = fedcross.plan(path, tmp_path / "plans" / "plan.toml", device="cpu")
    assert 'data_root = "../data"' in text
    again = load_config(tmp_path / "plans" / "plan.toml")
    assert again.data_root.resolve() == config.data_root.resolve()


def test_a_plan_keeps_the_packages_that_the_configuration_allows_and_its_custom_network(
    tmp_path: Path,
) -> None:
    path = write_bare(tmp_path)
    network = 'plugin = { package = "a-package", entry = "net" }\ndownsampling = [4, 4, 2]\n'
    text = path.read_text(encoding="utf-8")
    path.write_text(
        f'plugins = ["a-package"]\n{text}\n[network]\nname = "custom"\n{network}', encoding="utf-8"
    )
    config, _ = fedcross.plan(path, tmp_path / "plan.toml", device="cpu")
    assert config.plugins == ("a-package",)
    assert config.network.reduction == (4, 4, 2)
    assert load_config(tmp_path / "plan.toml") == config


def test_test_cases_are_not_read(tmp_path: Path) -> None:
    path = write_bare(tmp_path)
    config, before = fedcross.plan(path, device="cpu")
    for site, cases in zip(config.sites, find_all_cases(config), strict=True):
        (case,) = cases.test
        case.image.write_bytes(b"damaged")
        assert case.image.is_relative_to(tmp_path / site.name)
    assert fedcross.plan(path, device="cpu")[1] == before


def test_training_without_a_grid_is_planning_and_then_training(tmp_path: Path) -> None:
    path = small(tmp_path / "data")
    lines: list[str] = []
    fedcross.train(path, tmp_path / "run", device="cpu", reporter=Lines(lines))
    assert [line for line in lines if "planned from the data: plan.toml" in line]
    fedcross.plan(path, tmp_path / "own.toml", device="cpu")
    fedcross.train(tmp_path / "own.toml", tmp_path / "again", device="cpu")
    first, second = tmp_path / "run", tmp_path / "again"
    assert recorded(first) == recorded(second)
    assert (first / "test.json").read_text() == (second / "test.json").read_text()
    weights = [sorted(each.rglob("*.safetensors")) for each in (first, second)]
    assert [each.read_bytes() for each in weights[0]] == [each.read_bytes() for each in weights[1]]
    assert config_sha256(load_config(first / "plan.toml")) == recorded(first)


class Lines(NullReporter):
    """Keeps the log lines."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def log(self, message: str) -> None:
        self._lines.append(message)


def recorded(run: Path) -> str:
    return str(json.loads((run / "config.json").read_text(encoding="utf-8"))["sha256"])


def test_a_run_that_a_plan_began_is_resumed_with_that_plan(tmp_path: Path) -> None:
    path = small(tmp_path / "data")
    run = fedcross.train(path, tmp_path / "run", device="cpu")
    plan = (run / "plan.toml").read_text(encoding="utf-8")
    fedcross.train(path, run, resume=True, device="cpu")
    assert (run / "plan.toml").read_text(encoding="utf-8") == plan
    edited = path.read_text(encoding="utf-8").replace("momentum = 0.9", "momentum = 0.8")
    path.write_text(edited, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"training\.momentum \(was 0\.9, is 0\.8\)"):
        fedcross.train(path, run, resume=True, device="cpu")
    (run / "plan.toml").unlink()
    with pytest.raises(CheckpointError, match=r"no readable plan\.toml to resume from"):
        fedcross.train(path, run, resume=True, device="cpu")


def test_a_run_is_not_overwritten_and_its_cases_are_not_read_again(tmp_path: Path) -> None:
    path = small(tmp_path / "data")
    run = fedcross.train(path, tmp_path / "run", device="cpu")
    for image in (tmp_path / "data").rglob("images/*"):
        image.unlink()
    with pytest.raises(CheckpointError, match="already holds a run"):
        fedcross.train(path, run, device="cpu")


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    path = write_bare(tmp_path)
    for wrong in ({"memory_gb": 0.1}, {"steps": 0}, {"rounds": 0}):
        (name,) = wrong
        with pytest.raises(ConfigError, match=f"{name} must be from"):
            fedcross.plan(path, device="cpu", **wrong)
    with pytest.raises(OutputError, match=r"config\.toml exists already"):
        fedcross.plan(path, path, device="cpu")
    with pytest.raises(ConfigError, match=r"preprocessing is missing\. fedcross plan proposes"):
        load_config(path)
    text = path.read_text(encoding="utf-8")
    path.write_text("[preprocessing]\nmodalty = 'CT'\n" + text, encoding="utf-8")
    with pytest.raises(ConfigError, match="did you mean modality"):
        fedcross.plan(path, device="cpu")


def test_a_case_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = write_bare(tmp_path)
    for image in (tmp_path / "s1" / "images").iterdir():
        image.write_bytes(b"damaged")
    with pytest.raises(DataError, match="of site s1"):
        fedcross.plan(path, device="cpu")


def test_a_configuration_across_hospitals_is_refused_before_any_case_is_read(
    tmp_path: Path,
) -> None:
    path = write_bare(tmp_path)
    with path.open("a", encoding="utf-8") as file:
        file.write("[engine]\nkind = 'flare'\n")
    for image in tmp_path.rglob("images/*"):
        image.unlink()
    with pytest.raises(ConfigError, match="trains across hospitals"):
        fedcross.train(path, tmp_path / "run", device="cpu")
