import json
import platform

import pytest
import torch

from fedcross.errors import DeviceError
from fedcross.train.run.environment import describe_environment, training_devices

CPU = torch.device("cpu")


def test_auto_is_the_cpu_if_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert training_devices("auto") == (CPU,)


def test_auto_is_all_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert [str(device) for device in training_devices("auto")] == ["cuda:0", "cuda:1", "cuda:2"]
    assert [str(d) for d in training_devices("cuda:2, cuda:0")] == ["cuda:2", "cuda:0"]


def test_a_gpu_named_twice_is_used_twice_and_a_cpu_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert [str(device) for device in training_devices("cuda:0,cuda:0")] == ["cuda:0", "cuda:0"]
    assert training_devices("cpu,cpu") == (CPU,)


def test_a_gpu_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="cuda:1"):
        training_devices("cpu,cuda:1")


def test_the_environment_does_not_contain_the_machines_name() -> None:
    found = describe_environment([CPU])
    assert found["python"] == platform.python_version()
    assert found["threads"] == torch.get_num_threads()
    assert len(found["devices"]) == 1
    assert found["packages"]["torch"] == torch.__version__
    assert platform.node() not in json.dumps(found).split('"')
