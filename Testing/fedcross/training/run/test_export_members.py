from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import fedcross
from fedcross.cli import app
from fedcross.errors import ConfigError
from fedcross.federate.local.engine import run_local
from fedcross.model.bundle import open_bundle, verify_bundle
from fedcross.training.run.export import export_run
from fedcross.training.run.folder import RunFolder
from tiny_federation import tiny_config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three members at three sites, the first of which walks one round for all."""
    folder = tmp_path_factory.mktemp("federation")
    config = tiny_config(
        folder, sites=3, cases=2, split=(1, 1, 0), rounds=4, local_epochs=1, shared_rounds=1
    )
    run_local(config, folder / "run", device="cpu")
    return folder / "run"


@pytest.mark.parametrize("members", [[1], [2, 0]])
def test_the_chosen_members_are_exported_in_their_order_with_their_routes(
    run: Path, tmp_path: Path, members: Sequence[int]
) -> None:
    whole = export_run(run, tmp_path / "whole").manifest
    some = fedcross.export(run, tmp_path / "some", members=members).manifest
    verify_bundle(tmp_path / "some")
    checkpoint = RunFolder(run).checkpoints.latest()
    assert checkpoint is not None
    with open_bundle(tmp_path / "some") as bundle:
        for place, index in enumerate(members):
            tensors = bundle.member_tensors(place)
            weights = checkpoint.members[index].weights
            assert all(torch.equal(tensors[key], value) for key, value in weights.items())
            assert some.members[place].last_site == whole.members[index].last_site
    assert whole.schedule is not None
    assert some.schedule == tuple(tuple(row[index] for index in members) for row in whole.schedule)


def test_the_figures_of_all_members_together_are_not_those_of_some(
    run: Path, tmp_path: Path
) -> None:
    whole = export_run(run, tmp_path / "whole").manifest.provenance
    same = export_run(run, tmp_path / "same", members=[2, 1, 0]).manifest.provenance
    one = export_run(run, tmp_path / "one", members=[1]).manifest.provenance
    two = export_run(run, tmp_path / "two", members=[2, 0]).manifest.provenance
    assert whole.validation
    assert same == whole
    assert one.validation == two.validation == {}
    assert one.source == f"Member 1 of 3 of a run: {whole.source}"
    assert two.source == f"Members 2, 0 of 3 of a run: {whole.source}"


@pytest.mark.parametrize(
    ("members", "got"), [([3], "3"), ([-1], "-1"), ([1, 1], "1, 1"), ([], "none")]
)
def test_a_member_that_does_not_exist_or_is_named_twice_is_refused(
    run: Path, tmp_path: Path, members: Sequence[int], got: str
) -> None:
    with pytest.raises(ConfigError, match=f"one or more of 0 to 2, each once, got {got}\\."):
        export_run(run, tmp_path / "bundle", members=members)
    assert not (tmp_path / "bundle").exists()


def test_the_command_exports_one_member_and_refuses_what_is_no_number(
    run: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    refused = CliRunner().invoke(app, ["export", str(run), str(bundle), "--members", "0,first"])
    assert isinstance(refused.exception, ConfigError)
    assert "whole numbers with commas between, got 'first'" in str(refused.exception)
    assert not bundle.exists()
    done = CliRunner().invoke(app, ["export", str(run), str(bundle), "--members", "2"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"Exported 1 member: {bundle} (")
    assert len(verify_bundle(bundle).members) == 1
    card = (bundle / "docs" / "README.md").read_text(encoding="utf-8")
    assert "One model trained with the cases of 3 sites." in card
    assert "spread" not in card
