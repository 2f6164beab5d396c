from dataclasses import replace

import pytest
import torch

from fedcross.federate.remote.guard import UpdateError, check_update, next_step_norm, norm
from fedcross.strategies.member import MemberState
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.sections import OptimisationConfig
from tiny_federation import tiny_config

BEFORE = MemberState(
    index=2,
    weights={"a.weight": torch.tensor([3.0, 4.0]), "a.count": torch.tensor(7)},
    optimizer={"momentum_buffer.a.weight": torch.tensor([1.0, 0.0])},
    epochs_done=5,
    rounds_done=4,
    last_site="there",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    return tiny_config(tmp_path_factory.mktemp("federation"), sites=1, local_epochs=3)


def sent(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    """Tensors of a correct update, with changes; two underlines stand for a dot."""
    correct = {
        "weights.a.weight": torch.tensor([3.0, 4.5]),
        "weights.a.count": torch.tensor(8),
        "optimizer.momentum_buffer.a.weight": torch.tensor([1.0, 1.0]),
    }
    return {**correct, **{name.replace("__", "."): tensor for name, tensor in changes.items()}}


def test_a_correct_update_is_accepted_and_the_server_counts_the_visit(
    config: TrainingConfig,
) -> None:
    after = check_update(BEFORE, sent(), "here", config)
    assert (after.index, after.epochs_done, after.rounds_done, after.last_site) == (2, 8, 5, "here")
    assert after.weights["a.weight"].tolist() == [3.0, 4.5]
    assert after.optimizer["momentum_buffer.a.weight"].tolist() == [1.0, 1.0]


def test_counters_cannot_be_forged(config: TrainingConfig) -> None:
    forged = sent(index=torch.tensor(0), rounds_done=torch.tensor(99), epochs_done=torch.tensor(-1))
    after = check_update(BEFORE, forged, "here", config)
    assert (after.index, after.epochs_done, after.rounds_done) == (2, 8, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights__a__weight": torch.tensor([3.0, torch.nan])}, "NaN or infinite values in a.we"),
        ({"weights__a__weight": torch.tensor([torch.inf, 0.0])}, "NaN or infinite"),
        ({"optimizer__momentum_buffer__a__weight": torch.tensor([torch.nan, 0.0])}, "momentum_buf"),
        ({"weights__a__weight": torch.zeros(3)}, r"shape \(3,\)"),
        ({"weights__a__weight": torch.zeros(2, dtype=torch.float64)}, "float64"),
        ({"weights__a__count": torch.tensor(8.0)}, "float32"),
        ({"optimizer__momentum_buffer__a__weight": torch.zeros(1)}, r"shape \(1,\)"),
        ({"weights__b": torch.zeros(1)}, "'b', which no member has"),
        ({"optimizer__exp_avg__a__weight": torch.zeros(2)}, "which no member has"),
        ({"weights__a__weight": torch.tensor([3e3, 4e3])}, "weights moved by 4995, more than 10"),
        ({"optimizer__momentum_buffer__a__weight": torch.tensor([6e4, 0.0])}, "next step would"),
        ({"weights__a__weight": torch.tensor([1e30, 0.0])}, r"weights moved by 1e\+30"),
    ],
)
def test_a_wrong_update_is_refused_with_its_reason(
    config: TrainingConfig, changes: dict[str, torch.Tensor], message: str
) -> None:
    with pytest.raises(UpdateError, match=rf"^Site here sent back member 2 .*{message}"):
        check_update(BEFORE, sent(**changes), "here", config)


@pytest.mark.parametrize("name", ["weights.a.weight", "optimizer.momentum_buffer.a.weight"])
def test_a_missing_tensor_is_refused(config: TrainingConfig, name: str) -> None:
    rest = {key: tensor for key, tensor in sent().items() if key != name}
    with pytest.raises(UpdateError, match="without"):
        check_update(BEFORE, rest, "here", config)


def test_the_first_visit_may_return_a_state_of_the_optimiser(config: TrainingConfig) -> None:
    new = replace(BEFORE, optimizer={})
    assert check_update(new, sent(), "here", config).optimizer.keys() == BEFORE.optimizer.keys()


def test_the_state_of_adam_is_checked(config: TrainingConfig) -> None:
    adam = config.model_copy(update={"training": OptimisationConfig(optimizer="adamw")})
    before = replace(BEFORE, optimizer={})
    state = {
        "weights.a.weight": torch.tensor([3.0, 4.0]),
        "weights.a.count": torch.tensor(7),
        "optimizer.step.a.weight": torch.tensor(1.0),
        "optimizer.exp_avg.a.weight": torch.tensor([0.3, 0.0]),
        "optimizer.exp_avg_sq.a.weight": torch.tensor([0.09, 0.0]),
    }
    assert check_update(before, state, "here", adam).rounds_done == 5
    negative = {**state, "optimizer.exp_avg_sq.a.weight": torch.tensor([-0.1, 0.0])}
    with pytest.raises(UpdateError, match="negative squares"):
        check_update(before, negative, "here", adam)
    sudden = {**state, "optimizer.exp_avg_sq.a.weight": torch.zeros(2)}
    with pytest.raises(UpdateError, match="next step"):
        check_update(before, sudden, "here", adam)


def test_norm_and_next_step_have_values_computed_by_hand() -> None:
    assert norm([torch.tensor([3.0]), torch.tensor([[4.0]])]) == 5.0
    assert norm([]) == 0.0
    momentum = {"momentum_buffer.w": torch.tensor([3.0, 4.0])}
    assert next_step_norm(momentum, OptimisationConfig(learning_rate=0.1)) == pytest.approx(0.5)
    adam = {"exp_avg.w": torch.tensor([0.3]), "exp_avg_sq.w": torch.tensor([0.09])}
    settings = OptimisationConfig(optimizer="adamw", learning_rate=0.1)
    assert next_step_norm(adam, settings) == pytest.approx(0.1)
    assert next_step_norm({}, settings) == 0.0


def test_the_bound_comes_from_the_configuration(config: TrainingConfig) -> None:
    engine = config.engine.model_copy(update={"max_update": 0.05})
    with pytest.raises(UpdateError, match=r"by 0\.5, more than 0\.05 times"):
        check_update(BEFORE, sent(), "here", config.model_copy(update={"engine": engine}))
