import threading

import pytest
import torch
from torch import nn

from fedcross.backends.prefetch import Prefetch
from fedcross.backends.torch_backend import TorchBackend
from fedcross.errors import BundleError
from fedcross.model.bundle import Bundle


def test_the_next_member_is_loaded_ahead(bundle: Bundle) -> None:
    begun = [threading.Event() for _ in range(3)]

    def load(_: Bundle, index: int) -> nn.Module:
        begun[index].set()
        return nn.Identity()

    fetch = Prefetch(load)
    fetch(bundle, 0)
    assert begun[1].wait(10)
    assert not begun[2].is_set()  # at most two members are in memory


def test_every_member_is_loaded_once_and_returned_in_order(bundle: Bundle) -> None:
    loaded = []

    def load(_: Bundle, index: int) -> nn.Module:
        loaded.append(index)
        return nn.Linear(1, index + 1)

    fetch = Prefetch(load)
    assert [fetch(bundle, index).out_features for index in range(3)] == [1, 2, 3]
    assert loaded == [0, 1, 2]
    assert fetch(bundle, 2).out_features == 3  # requested again, not in order


def test_an_error_of_loading_ahead_is_raised_when_the_member_is_requested(bundle: Bundle) -> None:
    def load(_: Bundle, index: int) -> nn.Module:
        if index == 1:
            raise BundleError("member_1 was changed.")
        return nn.Identity()

    fetch = Prefetch(load)
    fetch(bundle, 0)
    with pytest.raises(BundleError, match="member_1"):
        fetch(bundle, 1)


@pytest.mark.parametrize(("device", "ahead"), [("cuda:0", True), ("cpu", False)])
def test_members_are_loaded_ahead_on_a_gpu_only(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle, device: str, ahead: bool
) -> None:
    second = threading.Event()

    def load(_: Bundle, index: int, device: torch.device) -> nn.Module:
        if index == 1:
            second.set()
        return nn.Identity()

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some GPU")
    monkeypatch.setattr(Bundle, "load_member", load)
    TorchBackend(torch.device(device), "fp32", tuned=True).load(bundle, 0)
    assert second.wait(10 if ahead else 0.1) == ahead
