"""Clipping and Gaussian noise for the update of a visit, and the differential privacy it gives.

A site applies it before it sends a member, see `flare.filters`.
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


def compute_update(before: MemberState, after: MemberState) -> dict[str, Tensor]:
    """The update of a visit: weights after it less weights before it, by name."""
    return {name: after.weights[name] - old for name, old in before.weights.items()}


def clip_and_add_noise(
    update: Mapping[str, Tensor],
    clip_norm: float,
    noise_multiplier: float,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Scale an update down to a norm and add Gaussian noise to every number.

    This is the Gaussian mechanism for the whole update (Dwork and Roth, "The Algorithmic Foundations
    of Differential Privacy", 2014). The clipping is that of McMahan et al., ICLR 2018.

    Parameters
    ----------
    update
        Change of each weight in a visit, by the weights' names; any shapes.
    clip_norm
        Largest Euclidean norm of the whole update before the noise, above 0. A smaller update is not
        scaled.
    noise_multiplier
        Standard deviation of the noise, in units of `clip_norm`; 0 adds no noise.
    generator
        Source of the noise; None for a new one that the operating system seeds.

    Returns
    -------
    dict of str to Tensor
        New tensors with the names, shapes and dtypes of `update`.

    Raises
    ------
    ConfigError
        If the network has batch normalisation: noise can make a running variance negative.
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

    def add_noise(change: Tensor) -> Tensor:
        noise = torch.randn(change.shape, generator=generator, dtype=torch.float64)
        return (change.double() * scale + noise * deviation).to(change.dtype)

    return {name: add_noise(change) for name, change in update.items()}


def describe_privacy(config: TrainingConfig, plan: Plan) -> str:
    """A sentence with the epsilon of the site with the most visits; empty without noise."""
    engine = config.engine
    if engine.clip_norm is None or engine.noise_multiplier == 0:
        return ""
    visits = max(_count_visits(config, plan).values())
    epsilon = gaussian_epsilon(engine.noise_multiplier, visits, engine.delta)
    return (
        "The noise gives the data of each site differential privacy with epsilon "
        f"{epsilon:.3g} at delta {engine.delta:g} against anybody who receives the members that the "
        f"site sends in {visits} visits. A repeated visit counts as one more. Figures that the site "
        "shares are not protected."
    )


def _count_visits(config: TrainingConfig, plan: Plan) -> Mapping[int, int]:
    """Number of visits at each site over the whole run, by the site's index."""
    if plan.schedule is None:
        return dict.fromkeys(plan.sites, config.method.rounds)
    return Counter(site for row in plan.schedule for site in row)
