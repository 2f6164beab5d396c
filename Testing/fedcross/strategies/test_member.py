import pytest
import torch

from fedcross.errors import CheckpointError
from fedcross.model.architecture import UNetArchitecture
from fedcross.strategies.member import MemberState, new_member


def test_a_member_survives_the_way_through_tensors() -> None:
    weights = {"a.b": torch.arange(8.0).reshape(2, 4).T, "a.count": torch.tensor(3)}
    optimizer = {"momentum_buffer.a.b": torch.ones(4, 2)}
    member = MemberState(2, weights, optimizer, epochs_done=5, rounds_done=4, last_site="Zürich")
    tensors = member.to_tensors()
    assert all(tensor.is_contiguous() for tensor in tensors.values())
    back = MemberState.from_tensors(tensors)
    assert (back.index, back.epochs_done, back.rounds_done, back.last_site) == (2, 5, 4, "Zürich")
    assert torch.equal(back.weights["a.b"], weights["a.b"])
    assert torch.equal(back.weights["a.count"], weights["a.count"])
    assert torch.equal(back.optimizer["momentum_buffer.a.b"], torch.ones(4, 2))


def test_a_new_member_has_been_nowhere() -> None:
    member = MemberState.from_tensors(MemberState(0, {}, {}).to_tensors())
    assert member.last_site is None
    assert member.epochs_done == 0


def test_tensors_of_something_else_are_refused() -> None:
    with pytest.raises(CheckpointError, match="lacks epochs_done, index, last_site, rounds_done"):
        MemberState.from_tensors({"weights.a": torch.ones(1)})


def test_members_begin_differently_and_repeatably() -> None:
    network = UNetArchitecture(base_channels=2)
    name = "enc1.conv.conv.0.weight"
    first, again = new_member(0, network, 1), new_member(0, network, 1)
    assert torch.equal(first.weights[name], again.weights[name])
    for other in (new_member(1, network, 1), new_member(0, network, 2)):
        assert not torch.equal(first.weights[name], other.weights[name])
