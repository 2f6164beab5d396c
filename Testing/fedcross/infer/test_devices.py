import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from fedcross.contract.devices import Gpu
from fedcross.infer.devices import describe


def fake_torch(cuda: str | None, gpus: int = 0, failure: Exception | None = None) -> object:
    def start() -> None:
        if failure is not None:
            raise failure

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
    ("torch", "sentence"),
    [
        (None, "PyTorch is not installed."),
        (fake_torch(None), "built without CUDA"),
        (
            fake_torch("12.8", failure=RuntimeError("Found no NVIDIA driver on")),
            "no NVIDIA driver",
        ),
        (fake_torch("12.8", failure=RuntimeError("The NVIDIA driver is too old (11)")), "update"),
        (fake_torch("12.8", failure=RuntimeError("odd\nlines")), "CUDA reports: odd."),
        (fake_torch("12.8"), "finds no graphics card"),
        (fake_torch("12.8", gpus=1), "GPU ready: Card 0 (24 GB)."),
    ],
)
def test_every_state_is_a_sentence(torch: object, sentence: str) -> None:
    assert sentence in describe(torch).status


def test_each_gpu_has_the_name_that_a_request_takes() -> None:
    first, second = describe(fake_torch("12.8", gpus=2)).gpus
    assert first.device == "cuda:0"
    assert second == Gpu("cuda:1", "Card 1", 24.0)


def test_the_command_prints_one_json_object() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "fedcross.infer.devices"], capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout)["torch"]
