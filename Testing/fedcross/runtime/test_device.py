import numpy as np
import pytest
import torch

from fedcross.errors import BundleError, ConfigError, DeviceError, PrecisionError
from fedcross.runtime.device import check_finite, describe_device, resolve_device, resolve_precision

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("no_gpu")
def test_auto_without_a_gpu_is_the_cpu():
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_is_absent_is_refused_with_advice():
    with pytest.raises(DeviceError, match=r"No GPU .* cuda:0 was asked for. Use --device cpu"):
        resolve_device("cuda:0")


@pytest.mark.usefixtures("two_gpus")
def test_gpus_are_numbered_from_0():
    assert resolve_device("auto") == torch.device("cuda", 0)
    assert resolve_device("cuda") == torch.device("cuda", 0)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match="no cuda:2: this machine has 2 GPUs"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", "cpu:0"])
def test_unknown_device_names_are_refused(name):
    with pytest.raises(DeviceError, match=f"There is no device '{name}'"):
        resolve_device(name)


def test_auto_precision_on_the_cpu_is_fp32():
    assert resolve_precision("auto", CPU) == resolve_precision("auto", CPU, on_gpu="fp16") == "fp32"


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_a_cpu_computes_with_every_precision(name):
    assert resolve_precision(name, CPU) == name


@pytest.mark.parametrize(
    ("generation", "half", "auto"),
    [
        ((6, 1), "bf16", "fp32"),
        ((6, 1), "fp16", "fp32"),
        ((7, 5), "bf16", "fp32"),  # bf16 would be emulated
        ((7, 5), "fp16", "fp16"),
        ((8, 6), "bf16", "bf16"),
        ((8, 6), "fp16", "fp16"),
    ],
)
def test_auto_precision_on_a_gpu_is_16_bits_if_it_has_the_hardware(
    monkeypatch, generation, half, auto
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: generation)
    assert resolve_precision("auto", GPU, on_gpu=half) == auto
    assert resolve_precision("fp32", GPU) == "fp32"
    if auto == "fp32":
        with pytest.raises(DeviceError, match=f"This GPU .* with {half}. Use --precision fp32"):
            resolve_precision(half, GPU)
    else:
        assert resolve_precision(half, GPU) == half


def test_an_unknown_precision_is_refused():
    with pytest.raises(ConfigError, match="There is no precision 'fp8'"):
        resolve_precision("fp8", CPU)


def test_the_error_for_values_that_are_not_finite_says_whether_fp32_may_help():
    fine = np.float32([0, 0.5, 1])
    assert check_finite(fine, "fp16") is fine
    for bad in (np.nan, np.inf):
        with pytest.raises(PrecisionError, match=r"too large for fp16. Use --precision fp32"):
            check_finite(np.float32([0, bad]), "fp16")
        with pytest.raises(BundleError, match="not finite"):
            check_finite(np.float32([0, bad]), "fp32")


def test_a_device_is_described_by_its_name_or_its_threads(monkeypatch):
    assert describe_device(torch.device("cpu")) == "CPU, 1 thread"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    assert describe_device(torch.device("cuda", 1)) == "Some GPU (cuda:1)"
