"""Every network of the allow-list goes the whole way: train, resume, export, begin from it, segment."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

import fedcross
from fedcross.training.run.folder import RunFolder
from tiny_federation import write_federation

NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {"base_channels": 2},
    "segresnet": {"blocks_down": [1, 1]},
    "dynunet": {"filters": [4, 8, 8], "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]]},
    "residual dynunet": {
        "filters": [4, 8, 8],
        "strides": [[1, 1, 1], [2, 2, 1], [2, 2, 2]],
        "residual": True,
    },
}
OPTIMISERS = {"sgd": {"optimizer": "sgd", "momentum": 0.9}, "adamw": {"optimizer": "adamw"}}


def values(folder: Path, network: str, norm: str, optimiser: str, **method: Any) -> dict[str, Any]:
    found = tomllib.loads(write_federation(folder, **method).read_text(encoding="utf-8"))
    name = network.split()[-1]
    found["network"] = {"name": name, "norm": norm, **NETWORKS[network]}
    del found["training"]["momentum"]
    found["training"] |= OPTIMISERS[optimiser]
    return found


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_goes_the_whole_way(
    network: str, norm: str, optimiser: str, tmp_path: Path
) -> None:
    chosen = values(tmp_path, network, norm, optimiser, rounds=1)
    fedcross.train(fedcross.load_config(chosen, data_root=tmp_path), tmp_path / "run", device="cpu")
    chosen["method"]["rounds"] = 2
    longer = fedcross.load_config(chosen, data_root=tmp_path)
    fedcross.train(longer, tmp_path / "run", device="cpu", resume=True)
    bundle = fedcross.export(tmp_path / "run", tmp_path / "bundle")
    image = next((tmp_path / "s0" / "images").iterdir())
    assert fedcross.segment(image, bundle, device="cpu").labels.any()
    begun = fedcross.load_config(chosen, data_root=tmp_path, start=tmp_path / "bundle")
    fedcross.train(begun, tmp_path / "second", device="cpu")
    last = RunFolder(tmp_path / "second").checkpoints.latest()
    assert last is not None
    assert last.rounds_done == 2


def test_a_tensor_with_several_names_is_averaged_and_exported_once(tmp_path: Path) -> None:
    chosen = values(tmp_path, "dynunet", "instance", "sgd", kind="fedavg")
    fedcross.train(fedcross.load_config(chosen, data_root=tmp_path), tmp_path / "run", device="cpu")
    bundle = fedcross.export(tmp_path / "run", tmp_path / "bundle")
    last = RunFolder(tmp_path / "run").checkpoints.latest()
    assert last is not None
    assert not any("skip_layers" in name for name in last.members[0].weights)
    assert any("skip_layers" in name for name in bundle.member_tensors(0))
