import pytest
import torch

from fedcross.errors import ConfigError, DeviceError
from fedcross.infer.device import describe_device, resolve_device, resolve_precision


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
def test_a_gpu_that_is_not_there_is_refused_with_the_way_out():
    with pytest.raises(DeviceError, match=r"No GPU .* cuda:0 was asked for. Use --device cpu"):
        resolve_device("cuda:0")


@pytest.mark.usefixtures("two_gpus")
def test_gpus_are_counted_from_0():
    assert resolve_device("auto") == torch.device("cuda", 0)
    assert resolve_device("cuda") == torch.device("cuda", 0)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match="no cuda:2: this machine has 2 GPUs"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", "cpu:0"])
def test_other_names_are_refused(name):
    with pytest.raises(DeviceError, match=f"There is no device '{name}'"):
        resolve_device(name)


def test_auto_precision_on_the_cpu_is_fp32():
    assert resolve_precision("auto", torch.device("cpu")) == "fp32"
    assert resolve_precision("bf16", torch.device("cpu")) == "bf16"


@pytest.mark.parametrize(("able", "auto"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_on_a_gpu_is_bf16_where_it_has_it(monkeypatch, able, auto):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: able)
    assert resolve_precision("auto", torch.device("cuda:0")) == auto
    if not able:
        with pytest.raises(DeviceError, match="Use --precision fp32"):
            resolve_precision("bf16", torch.device("cuda:0"))


def test_another_precision_is_refused():
    with pytest.raises(ConfigError, match="There is no precision 'fp16'"):
        resolve_precision("fp16", torch.device("cpu"))


def test_a_device_is_described_for_people(monkeypatch):
    assert describe_device(torch.device("cpu")) == "CPU, 1 thread"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    assert describe_device(torch.device("cuda", 1)) == "Some GPU (cuda:1)"
