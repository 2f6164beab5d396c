"""Noise on what a visit changed, added at the site before the member leaves it.

The update is scaled down to a norm and Gaussian noise is added to every weight; the optimiser's state,
which is made of a site's gradients, does not leave. This is done by the site's own part of FedCross, not
by NVIDIA FLARE's filters, for those do not see what its Collab API sends.
"""

import math
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from fedcross.errors import ConfigError
from fedcross.federate.guard import norm
from fedcross.federate.plan import Plan
from fedcross.method.privacy import gaussian_epsilon
from fedcross.train.config import TrainingConfig
from fedcross.train.engine_config import EngineConfig
from fedcross.train.member import MemberState


def protected(
    before: MemberState,
    after: MemberState,
    engine: EngineConfig,
    generator: torch.Generator | None = None,
) -> MemberState:
    """The member as it may leave the site; unchanged if the configuration does not ask for noise.

    Parameters
    ----------
    before, after
        The visit.
    engine
        ``clip_norm`` and ``noise_multiplier``.
    generator
        Of the noise; when None, one that nobody can repeat, seeded by the operating system.

    Raises
    ------
    ConfigError
        If the network has batch normalisation, whose statistics would not survive the noise.
    """
    if engine.clip_norm is None:
        return after
    if any(name.endswith("running_var") for name in after.weights):
        raise ConfigError(
            "engine.clip_norm needs a network without batch normalisation.",
            'Use network.norm = "instance" or "group".',
        )
    if generator is None:
        generator = torch.Generator()
        generator.manual_seed(secrets.randbits(63))
    update = {name: after.weights[name].double() - old for name, old in before.weights.items()}
    scale = min(1.0, engine.clip_norm / max(norm(update.values()), math.ulp(0.0)))
    deviation = engine.noise_multiplier * engine.clip_norm

    def leaving(old: Tensor, change: Tensor) -> Tensor:
        noise = torch.randn(change.shape, generator=generator, dtype=torch.float64)
        return (old.double() + change * scale + noise * deviation).to(old.dtype)

    weights = {name: leaving(old, update[name]) for name, old in before.weights.items()}
    return replace(after, weights=weights, optimizer={})


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
