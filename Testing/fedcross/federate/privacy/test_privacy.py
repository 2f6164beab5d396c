import math
from pathlib import Path

import numpy as np
import pytest
import torch

from fedcross.errors import ConfigError
from fedcross.federate.privacy.gaussian import gaussian_delta, gaussian_epsilon
from fedcross.federate.privacy.noise import clip_and_add_noise, compute_update, describe_privacy
from fedcross.strategies.member import MemberState
from fedcross.strategies.plan import make_plan
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.engine import EngineConfig
from fedcross.training.config.file import load_config
from tiny_federation import tiny_config, write_federation

UPDATE = {"w": torch.tensor([3.0, 0.0]), "b": torch.tensor([4.0])}


def engine(**values: float) -> EngineConfig:
    return EngineConfig(kind="flare", **values)  # type: ignore[arg-type]


def test_an_update_is_the_difference_of_the_weights() -> None:
    before = MemberState(0, {"w": torch.tensor([1.0, 2.0])}, {})
    after = MemberState(0, {"w": torch.tensor([1.5, 1.0])}, {}, rounds_done=1)
    assert compute_update(before, after)["w"].tolist() == [0.5, -1.0]


@pytest.mark.parametrize(
    ("clip", "expected"),
    [(1.0, {"w": [0.6, 0.0], "b": [0.8]}), (9.0, {"w": [3.0, 0.0], "b": [4.0]})],
)
def test_a_large_update_is_scaled_to_the_norm_and_a_smaller_one_is_not_changed(
    clip: float, expected: dict[str, list[float]]
) -> None:
    for name, clipped in clip_and_add_noise(UPDATE, clip, 0.0).items():
        torch.testing.assert_close(clipped, torch.tensor(expected[name]))


def test_an_update_of_zeros_stays_zero() -> None:
    assert clip_and_add_noise({"w": torch.zeros(4)}, 1.0, 0.0)["w"].tolist() == [0.0, 0.0, 0.0, 0.0]


def test_the_noise_has_the_given_deviation_and_differs_each_time() -> None:
    wide = {"w": torch.zeros(40_000)}
    noise, again = (clip_and_add_noise(wide, 0.5, 2.0)["w"] for _ in range(2))
    assert float(noise.std()) == pytest.approx(1.0, abs=0.03)  # 8 standard errors
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.04)
    assert not torch.equal(noise, again)


def test_batch_normalisation_is_refused() -> None:
    with pytest.raises(ConfigError, match="without batch normalisation"):
        clip_and_add_noise({**UPDATE, "norm.running_var": torch.ones(2)}, 1.0, 0.0)


def test_a_configuration_with_batch_normalisation_is_refused_before_any_visit(
    tmp_path: Path,
) -> None:
    path = write_federation(tmp_path, extra='[engine]\nkind = "flare"\nclip_norm = 1.0')
    path.write_text(path.read_text().replace('norm = "group"', 'norm = "batch"'))
    with pytest.raises(ConfigError, match=r'engine\.clip_norm needs network\.norm = "instance"'):
        load_config(path)


@pytest.mark.parametrize(("mu", "epsilon"), [(1.0, 0.0), (1.0, 2.0), (0.3, 0.5), (4.0, 10.0)])
def test_delta_is_the_hockey_stick_divergence_of_two_gaussians(mu: float, epsilon: float) -> None:
    x = np.linspace(-30, 30, 600_001)
    densities = [np.exp(-((x - centre) ** 2) / 2) / math.sqrt(2 * math.pi) for centre in (mu, 0.0)]
    gap = np.maximum(densities[0] - math.exp(epsilon) * densities[1], 0).sum() * (x[1] - x[0])
    assert gaussian_delta(mu, epsilon) == pytest.approx(float(gap), rel=1e-4)


def test_epsilon_solves_for_delta_and_grows_with_the_square_root_of_the_visits() -> None:
    epsilon = gaussian_epsilon(2.0, 1, 1e-5)  # mu = 2 / 2 = 1
    assert gaussian_delta(1.0, epsilon) == pytest.approx(1e-5, rel=1e-6)
    assert epsilon < 0.5 + math.sqrt(2 * math.log(1e5))  # Renyi accounting, Mironov 2017
    assert gaussian_epsilon(4.0, 4, 1e-5) == pytest.approx(epsilon)
    assert gaussian_epsilon(2.0, 0, 1e-5) == 0.0
    assert gaussian_epsilon(1e6, 1, 1e-5) == 0.0
    assert gaussian_epsilon(0.1, 100, 1e-5) > gaussian_epsilon(0.1, 50, 1e-5) > 1000


@pytest.mark.parametrize("wrong", [(0.0, 1, 1e-5), (1.0, -1, 1e-5), (1.0, 1, 0.0), (1.0, 1, 1.0)])
def test_parameters_out_of_range_are_refused(wrong: tuple[float, int, float]) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        gaussian_epsilon(*wrong)


@pytest.fixture
def noisy(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    extra = '[engine]\nkind = "flare"\nclip_norm = 1.0\nnoise_multiplier = 2.0'
    folder = tmp_path_factory.mktemp("federation")
    return tiny_config(folder, sites=2, rounds=4, members=1, extra=extra)


def test_a_run_reports_the_epsilon_of_the_site_with_the_most_visits(
    noisy: TrainingConfig,
) -> None:
    epsilon = gaussian_epsilon(2.0, 2, 1e-5)  # one member, four rounds, two sites
    message = describe_privacy(noisy, make_plan(noisy.method, noisy.network, [1, 1], noisy.seed))
    assert f"epsilon {epsilon:.3g} at delta 1e-05" in message
    assert "in 2 visits" in message
    quiet = noisy.model_copy(update={"engine": engine(clip_norm=1.0)})
    plan = make_plan(quiet.method, quiet.network, [1, 1], quiet.seed)
    assert describe_privacy(quiet, plan) == ""


def test_noise_without_a_norm_or_on_the_local_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="needs clip_norm"):
        engine(noise_multiplier=1.0)
    with pytest.raises(ValueError, match="clip_norm needs a flare engine"):
        EngineConfig(clip_norm=1.0)
