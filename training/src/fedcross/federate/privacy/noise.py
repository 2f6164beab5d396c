"""Noise on what a visit changed, and what it is worth.

A site adds it before a member leaves (`flare.filters`).
"""

import math
import secrets
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor

from fedcross.errors import ConfigError
from fedcross.federate.privacy.gaussian import gaussian_epsilon
from fedcross.federate.remote.guard import norm
from fedcross.strategies.member import MemberState
from fedcross.strategies.plan import Plan
from fedcross.training.config.configuration import TrainingConfig


def changed_by(before: MemberState, after: MemberState) -> dict[str, Tensor]:
    """What a visit changed: the weights after it less those before, by name."""
    return {name: after.weights[name] - old for name, old in before.weights.items()}


def noised(
    update: Mapping[str, Tensor],
    clip_norm: float,
    noise_multiplier: float,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """An update scaled down to a norm, with Gaussian noise on every number.

    This is the Gaussian mechanism on the whole update (Dwork and Roth, 2014; McMahan et al., ICLR
    2018, who clip in the same way).

    Parameters
    ----------
    update
        What a visit changed, by the weights' names; any shapes.
    clip_norm
        Euclidean norm of all numbers together that is left, above 0; a smaller one stays.
    noise_multiplier
        Standard deviation of the noise, in `clip_norm`.
    generator
        Of the noise; when None, one that nobody can repeat, seeded by the operating system.

    Returns
    -------
    dict of str to Tensor
        With the shapes and dtypes of `update`.

    Raises
    ------
    ConfigError
        If the network has batch normalisation, whose statistics would not survive the noise.
    """
    if any(name.endswith("running_var") for name in update):
        raise ConfigError(
            "engine.clip_norm needs a network without batch normalisation.",
            'Use network.norm = "instance" or "group".',
        )
    if generator is None:
        generator = torch.Generator()
        generator.manual_seed(secrets.randbits(63))
    scale = min(1.0, clip_norm / max(norm(update.values()), math.ulp(0.0)))
    deviation = noise_multiplier * clip_norm

    def leaving(change: Tensor) -> Tensor:
        noise = torch.randn(change.shape, generator=generator, dtype=torch.float64)
        return (change.double() * scale + noise * deviation).to(change.dtype)

    return {name: leaving(change) for name, change in update.items()}


def promise(config: TrainingConfig, plan: Plan) -> str:
    """One sentence about what the run's noise protects; empty without noise."""
    engine = config.engine
    if engine.clip_norm is None or engine.noise_multiplier == 0:
        return ""
    visits = max(_visits(config, plan).values())
    epsilon = gaussian_epsilon(engine.noise_multiplier, visits, engine.delta)
    return (
        f"The noise gives the data of each site epsilon {epsilon:.3g} at delta {engine.delta:g} "
        f"against whoever sees the members that leave it, for {visits} visits; a visit that is "
        "repeated counts anew, and figures are not covered."
    )


def _visits(config: TrainingConfig, plan: Plan) -> Mapping[int, int]:
    """How often each site sends a member, by its index."""
    if plan.schedule is None:
        return dict.fromkeys(plan.sites, config.method.rounds)
    return Counter(site for row in plan.schedule for site in row)
