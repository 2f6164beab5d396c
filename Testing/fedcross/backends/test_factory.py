import pytest
import torch

from fedcross.backends import factory
from fedcross.backends.factory import choose_backend
from fedcross.errors import ConfigError, DeviceError

needs_openvino = pytest.mark.skipif(not factory._has_openvino(), reason="OpenVINO is not installed")


@pytest.fixture(autouse=True)
def back_end() -> None:
    """Replaces the fixture that restricts tests to PyTorch: here all back-ends are used."""


def test_auto_is_tuned_pytorch_if_openvino_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(factory, "_has_openvino", lambda: False)
    assert choose_backend("auto", "cpu", "auto").name == "tuned"
    with pytest.raises(DeviceError, match="not installed"):
        choose_backend("openvino", "cpu", "auto")


@needs_openvino
def test_auto_is_openvino_without_a_gpu_and_tuned_with_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(factory, "_may_have_gpu", lambda: False)
    assert choose_backend("auto", "auto", "auto").name == "openvino"
    monkeypatch.setattr(factory, "_may_have_gpu", lambda: True)
    assert (
        choose_backend("auto", "auto", "auto").name == "openvino"
    )  # there is a driver, but PyTorch finds no GPU
    monkeypatch.setattr(factory, "resolve_device", lambda name: torch.device("cuda:0"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    assert choose_backend("auto", "auto", "auto").name == "tuned"


@needs_openvino
@pytest.mark.parametrize("name", ["torch", "tuned", "openvino"])
def test_auto_is_fp32_on_a_cpu(name: str) -> None:
    assert choose_backend(name, "cpu", "auto").precision == "fp32"


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="back-end 'fast'"):
        choose_backend("fast", "cpu", "auto")
    with pytest.raises(ConfigError, match="precision 'int8'"):
        choose_backend("auto", "cpu", "int8")
    with pytest.raises(DeviceError, match="not on cuda:0"):
        choose_backend("openvino", "cuda:0", "auto")
