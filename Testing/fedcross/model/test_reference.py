from pathlib import Path

import numpy as np
import pytest
import torch

from fedcross.errors import BundleError
from fedcross.model.architecture import UNetArchitecture
from fedcross.model.bundle import verify_bundle
from fedcross.model.networks import build_network
from fedcross.model.reference import import_reference_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A file like those of the authors' code: DataParallel names, optimisers, schedulers, numbers."""
    content: dict[str, object] = {"commu_iter": 7, "acc_time": 1.5, "time_stamp": "20230101"}
    content["best_val_acc"] = np.float64(0.875)  # a NumPy number, like a mean over cases
    for k in range(3):
        torch.manual_seed(k)
        network = build_network(UNetArchitecture(base_channels=2, norm="batch"))
        optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.99, nesterov=True)
        network(torch.randn(2, 1, 16, 16, 16)).sum().backward()
        optimizer.step()
        state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
        content[f"local_model_{k}_state_dict"] = state
        content[f"local_model_{k}_optimizer"] = optimizer.state_dict()
        content[f"local_model_{k}_scheduler"] = {"base_lrs": [0.01], "last_epoch": 3}
    path = tmp_path / "cp_commu_0008.pth.tar"
    torch.save(content, path)
    return path


def test_every_member_is_imported_with_its_weights_in_order(
    checkpoint: Path, tmp_path: Path
) -> None:
    bundle = import_reference_checkpoint(checkpoint, tmp_path / "b", patch_size=(32, 32, 16))
    verify_bundle(tmp_path / "b")
    original = torch.load(checkpoint, weights_only=False)  # this test's own file
    assert len(bundle.manifest.members) == 3
    for k in range(3):
        for name, tensor in bundle.member_tensors(k).items():
            assert torch.equal(tensor, original[f"local_model_{k}_state_dict"][f"module.{name}"])


def test_the_defaults_are_the_reference_configuration(checkpoint: Path, tmp_path: Path) -> None:
    manifest = import_reference_checkpoint(checkpoint, tmp_path / "b").manifest
    assert manifest.preprocessing.spacing_mm == (0.5, 0.5, 1.0)
    assert manifest.preprocessing.patch_size == (160, 160, 32)
    assert manifest.structures[0].name == "Prostate"
    assert manifest.structures[0].type.value == "41216001"
    assert manifest.architecture == UNetArchitecture(base_channels=2, norm="batch")


def test_a_checkpoint_without_data_parallel_is_imported(tmp_path: Path) -> None:
    network = build_network(UNetArchitecture(base_channels=2, classes=3, norm="batch"))
    torch.save({"local_model_0_state_dict": network.state_dict()}, tmp_path / "c.pth.tar")
    manifest = import_reference_checkpoint(tmp_path / "c.pth.tar", tmp_path / "b").manifest
    assert [s.name for s in manifest.structures] == ["Prostate", "Prostate 2"]


def test_the_channels_of_a_checkpoint_with_two_are_numbered(tmp_path: Path) -> None:
    network = build_network(UNetArchitecture(in_channels=2, base_channels=2, norm="batch"))
    torch.save({"local_model_0_state_dict": network.state_dict()}, tmp_path / "c.pth.tar")
    manifest = import_reference_checkpoint(
        tmp_path / "c.pth.tar", tmp_path / "b", patch_size=(32, 32, 32)
    ).manifest
    assert manifest.architecture.in_channels == 2
    assert manifest.preprocessing.channel_names == ("Channel 1", "Channel 2")


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, ("executed", "w"))


def test_code_in_a_checkpoint_is_refused_and_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"local_model_0_state_dict": _Bomb()}, tmp_path / "c.pth.tar")
    with pytest.raises(BundleError, match="without running code"):
        import_reference_checkpoint(tmp_path / "c.pth.tar", tmp_path / "b")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.pth.tar"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"epoch": 3}, "local_model_0_state_dict"),
        ({"local_model_0_state_dict": {"fc.weight": torch.zeros(2, 2)}}, "another network"),
        ({"local_model_0_state_dict": [1, 2]}, "holds no tensors"),
        ([1, 2], "list"),
    ],
)
def test_another_kind_of_checkpoint_is_refused(
    content: object, reason: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "c.pth.tar")
    with pytest.raises(BundleError, match=reason):
        import_reference_checkpoint(tmp_path / "c.pth.tar", tmp_path / "b")


@pytest.mark.parametrize("data", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_checkpoint_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.pth.tar").write_bytes(data)
    with pytest.raises(BundleError):
        import_reference_checkpoint(tmp_path / "c.pth.tar", tmp_path / "b")
