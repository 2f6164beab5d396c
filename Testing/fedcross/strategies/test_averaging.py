import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fedcross.model.architecture import UNetArchitecture
from fedcross.model.networks import build_network
from fedcross.strategies.averaging import combine, interpolate, normalisation_tensors, weighted_mean

FINITE = st.floats(-1e6, 1e6, width=32)


def test_the_mean_weighs_sites_by_their_cases() -> None:
    # Thirty cases say (1, -2), ten say (5, 2).
    mean = weighted_mean(
        [(30, {"w": torch.tensor([1.0, -2.0])}), (10, {"w": torch.tensor([5.0, 2.0])})]
    )
    assert mean["w"].tolist() == [2.0, -1.0]
    assert mean["w"].dtype == torch.float32


def test_whole_numbers_become_the_nearest_whole_number_and_stay_whole() -> None:
    # Batches seen: (3 * 10 + 1 * 17) / 4 = 11.75; exactly between 2 and 3 the even one.
    mean = weighted_mean([(3, {"n": torch.tensor(10)}), (1, {"n": torch.tensor(17)})])
    assert (mean["n"].item(), mean["n"].dtype) == (12, torch.int64)
    half = weighted_mean([(1, {"n": torch.tensor(2)}), (1, {"n": torch.tensor(3)})])
    assert half["n"].item() == 2


@given(st.lists(FINITE, min_size=1, max_size=5), st.lists(st.integers(1, 200), min_size=1))
def test_equal_states_are_their_own_mean_to_the_bit(values: list[float], cases: list[int]) -> None:
    state = {"w": torch.tensor(values)}
    assert torch.equal(weighted_mean((n, state) for n in cases)["w"], state["w"])


@given(st.lists(st.tuples(st.integers(1, 200), FINITE), min_size=1, max_size=8))
def test_the_mean_lies_within_and_equals_the_textbooks(sites: list[tuple[int, float]]) -> None:
    mean = weighted_mean((n, {"w": torch.tensor([w])}) for n, w in sites)["w"].item()
    expected = sum(n * w for n, w in sites) / sum(n for n, _ in sites)
    assert mean == pytest.approx(expected, rel=1e-6, abs=1e-3)
    low, high = min(w for _, w in sites), max(w for _, w in sites)
    assert low - 1e-3 <= mean <= high + 1e-3


def test_one_state_at_a_time_suffices_and_none_is_changed() -> None:
    states = [{"w": torch.full((2,), float(k))} for k in range(3)]
    assert weighted_mean((1, state) for state in states)["w"].tolist() == [1.0, 1.0]
    assert [state["w"][0].item() for state in states] == [0.0, 1.0, 2.0]
    assert weighted_mean([]) == {}


def test_states_that_do_not_fit_are_refused_with_their_names() -> None:
    one = {"w": torch.zeros(2)}
    with pytest.raises(ValueError, match=r"differ in .*'v'"):
        weighted_mean([(1, one), (1, {"v": torch.zeros(2)})])
    with pytest.raises(ValueError, match=r"w has the shapes \(2,\) and \(3,\)"):
        weighted_mean([(1, one), (1, {"w": torch.zeros(3)})])
    with pytest.raises(ValueError, match="above 0, got 0"):
        weighted_mean([(0, one)])


def test_moving_by_one_nth_gives_the_mean_of_n() -> None:
    average = {"w": torch.tensor([2.0])}
    for count, value in ((2, 4.0), (3, 9.0)):
        average = interpolate(average, {"w": torch.tensor([value])}, 1 / count)
    assert average["w"].item() == pytest.approx(5.0)  # (2 + 4 + 9) / 3


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0.1), (1.0, 0.7), (0.25, 0.25)])
def test_moving_goes_part_of_the_way(rate: float, expected: float) -> None:
    old, new = {"w": torch.tensor([0.1])}, {"w": torch.tensor([0.7])}
    assert interpolate(old, new, rate)["w"].item() == pytest.approx(expected, rel=1e-6)
    ends = {0.0: old, 1.0: new}
    if rate in ends:
        assert torch.equal(interpolate(old, new, rate)["w"], ends[rate]["w"])


def test_combinations_may_have_negative_shares() -> None:
    states = [{"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([0.0, 1.0])}]
    assert combine(states, [1.5, -0.5])["w"].tolist() == [1.5, -0.5]
    with pytest.raises(ValueError, match="at least one state"):
        combine([], [])


@pytest.mark.parametrize(
    ("norm", "each"),
    [
        ("batch", ["bias", "num_batches_tracked", "running_mean", "running_var", "weight"]),
        ("instance", ["bias", "weight"]),
        ("group", ["bias", "weight"]),
    ],
)
def test_normalisation_is_told_by_the_layers_type(norm: str, each: list[str]) -> None:
    network = build_network(UNetArchitecture(base_channels=2, norm=norm))
    found = normalisation_tensors(network)
    # In every pair of convolutions of the reference's U-Net the layers 1 and 4 normalise.
    assert sorted(name for name in found if name.startswith("enc1.")) == [
        f"enc1.conv.conv.{layer}.{name}" for layer in (1, 4) for name in each
    ]
    assert len(found) == 9 * 2 * len(each)
    assert found <= network.state_dict().keys()


def test_a_convolution_that_is_called_norm_is_none() -> None:
    class Misleading(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.batchnorm = nn.Conv3d(1, 1, 1)
            self.final = nn.BatchNorm3d(1, affine=False)

    found = normalisation_tensors(Misleading())
    assert found == {
        "final.running_mean",
        "final.running_var",
        "final.num_batches_tracked",
    }
    assert normalisation_tensors(nn.GroupNorm(1, 2)) == {"weight", "bias"}
