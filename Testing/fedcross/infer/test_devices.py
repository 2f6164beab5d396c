import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from fedcross.infer.devices import describe


def fake_torch(cuda: str | None, gpus: int = 0, complaint: Exception | None = None) -> object:
    def start() -> None:
        if complaint is not None:
            raise complaint

    return SimpleNamespace(
        __version__="2.13.0",
        version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(
            is_available=lambda: gpus > 0,
            device_count=lambda: gpus,
            get_device_properties=lambda index: SimpleNamespace(
                name=f"Card {index}", total_memory=24 * 1024**3
            ),
            init=start,
        ),
    )


@pytest.mark.parametrize(
    ("torch", "said"),
    [
        (None, "PyTorch is not installed."),
        (fake_torch(None), "built without CUDA"),
        (
            fake_torch("12.8", complaint=RuntimeError("Found no NVIDIA driver on")),
            "no NVIDIA driver",
        ),
        (fake_torch("12.8", complaint=RuntimeError("The NVIDIA driver is too old (11)")), "update"),
        (fake_torch("12.8", complaint=RuntimeError("odd\nlines")), "CUDA says: odd."),
        (fake_torch("12.8"), "finds no graphics card"),
        (fake_torch("12.8", gpus=1), "GPU ready: Card 0 (24 GB)."),
    ],
)
def test_every_state_is_told_in_words(torch: object, said: str) -> None:
    assert said in describe(torch)["status"]


def test_each_gpu_is_listed_by_the_name_that_the_child_takes() -> None:
    gpus = describe(fake_torch("12.8", gpus=2))["gpus"]
    assert [gpu["device"] for gpu in gpus] == ["cuda:0", "cuda:1"]
    assert gpus[1] == {"device": "cuda:1", "name": "Card 1", "memory_gb": 24.0}


def test_the_command_prints_one_json_object() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "fedcross.infer.devices"], capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout)["torch"]
