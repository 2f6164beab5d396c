import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import fedcross
from fedcross.cli import app
from fedcross.errors import ConfigError, FedCrossError, OutputError
from fedcross.federate.local.distillation import configure_student, distill
from fedcross.federate.local.engine import read_data, run_local
from fedcross.federate.local.teacher import Teacher
from fedcross.federate.local.visits import pool_sites
from fedcross.model.bundle import Bundle, open_bundle, verify_bundle, write_bundle
from fedcross.runtime.reporting import NullReporter
from fedcross.strategies.member import MemberState
from fedcross.strategies.method import Method
from fedcross.strategies.methods.centralised import Centralised
from fedcross.strategies.methods.fedcross_ens import FedCrossEns
from fedcross.training.config.file import load_config
from fedcross.training.run.export import export_run
from fedcross.training.step.visit import visit
from tiny_federation import write_array, write_federation


class Constant(nn.Module):
    """A network whose logits are the same two numbers in every voxel."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits, dtype=torch.float32)[:, None, None, None]

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), 2, *images.shape[2:])


IMAGES = torch.zeros(1, 1, 2, 2, 2)


def test_the_target_is_the_mean_of_the_members_probabilities_and_not_of_their_logits() -> None:
    # Probabilities 0.9 and 0.5 of the first class: their mean is 0.7.
    teacher = Teacher([Constant(math.log(9), 0), Constant(0, 0)])
    even = teacher.loss(IMAGES, Constant(0, 0)(IMAGES))
    assert even.item() == pytest.approx(0.7 * math.log(0.7 / 0.5) + 0.3 * math.log(0.3 / 0.5))
    same = teacher.loss(IMAGES, Constant(math.log(7), math.log(3))(IMAGES))
    assert same.item() == pytest.approx(0, abs=1e-6)


def test_certain_members_give_a_finite_loss_whose_gradient_reaches_only_the_student() -> None:
    teacher = Teacher([Constant(1000, -1000), Constant(1000, -1000)])
    student = nn.Parameter(Constant(0, 0)(IMAGES).clone())
    loss = teacher.loss(IMAGES, student)
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    assert student.grad is not None
    # The gradient of the mean cross-entropy over 8 voxels is (softmax - target) / 8.
    assert student.grad[0, :, 0, 0, 0].tolist() == pytest.approx([-0.5 / 8, 0.5 / 8])


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of two sites; beside it the calibrated bundle ``ensemble`` of two members."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("federation")
    config = write_federation(folder, rounds=4, extra="learning_rate = 0.05")
    run_local(load_config(config), folder / "run", device="cpu")
    bundle = export_run(folder / "run", folder / "plain")
    members = [bundle.member_tensors(k) for k in range(2)]
    manifest = bundle.manifest.model_dump(mode="json", exclude={"members"})
    write_bundle(folder / "ensemble", {**manifest, "calibration": {"temperature": 1.5}}, members)
    return config


def make(config: Path, out: Path, share: float = 1.0) -> Bundle:
    return fedcross.distill(config.parent / "ensemble", config, out, share=share, device="cpu")


def test_a_student_is_one_member_and_has_nothing_that_was_measured_on_the_ensemble(
    federation: Path, tmp_path: Path
) -> None:
    student = make(federation, tmp_path / "student", share=0.5)
    manifest = verify_bundle(tmp_path / "student")
    with open_bundle(federation.parent / "ensemble") as ensemble:
        theirs, sha256 = ensemble.manifest, ensemble.sha256
        first = ensemble.member_tensors(0)
    assert len(manifest.members) == 1
    assert manifest.provenance.source == (
        f"Distilled from the bundle with the SHA-256 {sha256} (2 members), 2 epochs of the training "
        "cases of 2 sites."
    )
    assert theirs.provenance.validation
    assert (manifest.provenance.validation, manifest.schedule, manifest.profile) == ({}, None, None)
    assert manifest.calibration.temperature == 1.0
    for part in ("name", "architecture", "preprocessing", "structures", "sites"):
        assert getattr(manifest, part) == getattr(theirs, part)
    weights = student.member_tensors(0)
    assert any(not torch.equal(weights[key], first[key]) for key in first)


def test_a_student_is_nearer_to_the_ensemble_than_a_network_that_saw_only_the_labels(
    federation: Path, tmp_path: Path
) -> None:
    student, config = make(federation, tmp_path / "student"), load_config(federation)
    pooled = pool_sites(read_data(config, NullReporter()).sites)
    with open_bundle(federation.parent / "ensemble") as ensemble:
        members = [ensemble.load_member(k) for k in range(2)]
        begun = MemberState(2, ensemble.member_tensors(0), {})
        settings = configure_student(config, ensemble.manifest, 1.0)
    alone, _ = visit(begun, pooled, 0, settings, torch.device("cpu"))
    other = student.load_member(0)
    other.load_state_dict(dict(alone.weights))
    teacher = Teacher(members)
    images = [volume.image[None, :, :16, :16, :32] for volume in pooled.train]
    near, far = (
        sum(teacher.loss(image, network(image)).item() for image in images)
        for network in (student.load_member(0), other)
    )
    assert near < far


def test_only_training_cases_decide_and_a_repetition_gives_the_same_weights(
    federation: Path, tmp_path: Path
) -> None:
    before = make(federation, tmp_path / "before").manifest.members
    assert make(federation, tmp_path / "again").manifest.members == before
    config = write_federation(tmp_path / "same", rounds=4, extra="learning_rate = 0.05")
    (tmp_path / "same" / "ensemble").symlink_to(federation.parent / "ensemble")
    for site in read_data(load_config(config), NullReporter()).sites:
        for name in (site.validation[0].name, site.test[0].name):
            empty = torch.zeros(18, 20, 36, dtype=torch.uint8).numpy()
            write_array(config.parent / site.name / "labels" / f"{name}.nii.gz", empty)
    assert make(config, tmp_path / "changed").manifest.members == before
    trained = read_data(load_config(config), NullReporter()).sites[0].train[0].name
    write_array(config.parent / "s0" / "labels" / f"{trained}.nii.gz", empty)
    assert make(config, tmp_path / "other").manifest.members != before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "Blob"', 'name = "Ball"', "structures blob, the configuration ball"),
        ("[preprocessing]", '[preprocessing]\nchannels = [{name = "t2"}]', "takes the channels"),
    ],
)
def test_a_configuration_of_another_task_is_refused_in_one_sentence(
    federation: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    config = federation.parent / "other.toml"
    config.write_text(federation.read_text().replace(old, new), encoding="utf-8")
    with pytest.raises(FedCrossError, match=message) as refused:
        make(config, tmp_path / "student")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("method", "epochs"),
    [
        (FedCrossEns(rounds=4, local_epochs=3), 6),  # 8 visits of 3 epochs at one of two sites
        (FedCrossEns(rounds=10, local_epochs=2, shared_rounds=6), 7),  # 6 + 4 x 2 visits
        (Centralised(rounds=4, local_epochs=3), 6),  # every epoch has the cases of both sites
    ],
)
def test_a_student_makes_its_share_of_the_steps_of_all_models(
    federation: Path, method: Method, epochs: int
) -> None:
    config = load_config(federation).model_copy(update={"method": method})
    with open_bundle(federation.parent / "ensemble") as bundle:
        student = configure_student(config, bundle.manifest, 0.5)
    assert (student.method.rounds, student.method.local_epochs) == (1, epochs)


@pytest.mark.parametrize("share", [0.0, -1.0, 10.5, math.nan, math.inf])
def test_a_share_out_of_range_is_refused(federation: Path, tmp_path: Path, share: float) -> None:
    with pytest.raises(ConfigError, match=f"above 0 and at most 10, got {share:g}"):
        make(federation, tmp_path / "student", share)


def test_the_ensemble_and_foreign_folders_are_not_overwritten(
    federation: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="is the bundle that is read"):
        make(federation, federation.parent / "ensemble")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="exists and is not a bundle"):
        make(federation, tmp_path)


class Interrupts(NullReporter):
    """Interrupts after the first epoch, as Ctrl-C does."""

    def progress(self, done: int, total: int, stage: str) -> None:
        if stage == "distil":
            raise KeyboardInterrupt


def test_an_interruption_leaves_nothing(federation: Path, tmp_path: Path) -> None:
    ensemble = federation.parent / "ensemble"
    with pytest.raises(KeyboardInterrupt):
        distill(ensemble, federation, tmp_path / "s", device="cpu", reporter=Interrupts())
    assert list(tmp_path.iterdir()) == []


def test_the_command_tells_what_it_made(federation: Path, tmp_path: Path) -> None:
    ensemble, out = federation.parent / "ensemble", tmp_path / "student"
    words = ["distill", ensemble, "--data", federation, "--out", out, "--device", "cpu"]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    assert f"Distilled: {out} (" in done.output
    assert "1 epoch of the training cases of 2 sites." in done.output
    assert f"Next: fedcross evaluate {out} --data {federation}" in done.output
