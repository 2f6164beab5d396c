"""The methods that a comparison runs: each a configuration of its own, all with one budget.

The budget is the configuration's ``rounds x local_epochs`` epochs at every site: every training case
is trained on in so many epochs altogether, whatever the method; see `strategies`.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from fedcross.errors import ConfigError
from fedcross.strategies.method import Method
from fedcross.strategies.registry import METHODS
from fedcross.train.config.configuration import TrainingConfig, config_values, parse_config

DEFAULT_METHODS = "fedcross-ens,fedcross,fedavg,fedprox,fedbn,local,centralised"
BUDGET = ("rounds", "local_epochs")
SHARED = ("participation", "dropout", "schedule")
"""Options that a method takes from the configuration's method, where both have them."""


@dataclass(frozen=True)
class Variant:
    """One method with its options.

    Attributes
    ----------
    spec
        As the user wrote it, for instance ``fedprox:mu=0.1``.
    label
        For people, for instance ``FedProx (mu 0.1)``.
    config
        The whole configuration to run.
    """

    spec: str
    label: str
    config: TrainingConfig

    @property
    def slug(self) -> str:
        """The spec as it may stand in a folder's name."""
        return re.sub(r"[^a-z0-9.]+", "-", self.spec)


def parse_methods(text: str, config: TrainingConfig) -> list[Variant]:
    """Make the variants that a list of methods names.

    Parameters
    ----------
    text
        Methods with commas between them, each with options if wanted:
        ``fedcross-ens,fedprox:mu=0.1,fedcross-ens:average=soup:average_from=0.75``.
    config
        Gives everything else. Of its own method's options, others get those that decide who takes
        part when: participation, dropout and FedCross's schedule.

    Raises
    ------
    ConfigError
        If a method or option is not known, does not fit, or a method is named twice.
    """
    specs = [spec.strip() for spec in text.split(",") if spec.strip()]
    if not specs:
        raise ConfigError(f"There is no method to compare in {text!r}.")
    variants = [_variant(spec, config) for spec in specs]
    for one, other in combinations(variants, 2):
        if one.slug == other.slug or one.label == other.label:
            raise ConfigError(f"The method {other.spec} is named twice.")
    return variants


def _variant(spec: str, config: TrainingConfig) -> Variant:
    kind, *settings = spec.split(":")
    if kind not in METHODS:
        raise ConfigError(f"{kind!r} is no method; known are {', '.join(METHODS)}.")
    options = dict(_option(setting, spec) for setting in settings)
    method = {**_inherited(kind, config.method), **options}
    label = METHODS[kind].title
    if options:
        label += f" ({', '.join(f'{name} {value}' for name, value in options.items())})"
    return Variant(spec, label, _with_equal_budget(_with(config, spec, method=method), spec))


def _option(setting: str, spec: str) -> tuple[str, Any]:
    name, equals, value = setting.partition("=")
    if not equals or name == "kind":
        raise ConfigError(f"{spec}: options are written name=value, got {setting!r}.")
    if name in BUDGET:
        raise ConfigError(f"{spec}: {name} is the same for all methods, set it in [method].")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value  # a word


def _inherited(kind: str, method: Method) -> dict[str, Any]:
    """What a method of this kind takes over from the configuration's."""
    if kind == method.kind:
        return method.model_dump()
    shared = {*BUDGET, *SHARED} & METHODS[kind].option_names() & method.option_names()
    return {"kind": kind, **{name: getattr(method, name) for name in shared}}


def _with_equal_budget(config: TrainingConfig, spec: str) -> TrainingConfig:
    """As many visits to every site as the configuration has rounds, and as many validations."""
    rounds = config.method.rounds_for_budget(config.method.rounds, len(config.sites))
    if rounds == config.method.rounds:
        return config
    every = config.training.validate_every * rounds / config.method.rounds
    return _with(
        config, spec, method={"rounds": rounds}, training={"validate_every": max(1, round(every))}
    )


def _with(config: TrainingConfig, spec: str, **sections: dict[str, Any]) -> TrainingConfig:
    """The configuration with other values, checked as if they had been in the file."""
    values = config_values(config)
    for section, changes in sections.items():
        # Another method keeps nothing of the old one's options.
        values[section] = changes if "kind" in changes else {**values[section], **changes}
    return parse_config(values, source=spec).model_copy(update={"data_root": config.data_root})


def with_seed(variant: Variant, seed: int) -> TrainingConfig:
    """The variant's configuration with another seed."""
    return variant.config.model_copy(update={"seed": seed})


def seeds_of(config: TrainingConfig, count: int) -> Sequence[int]:
    """As many seeds as asked for, from the configuration's on.

    Raises
    ------
    ConfigError
        If it is none.
    """
    if count < 1:
        raise ConfigError(f"--seeds must be at least 1, got {count}.")
    return range(config.seed, config.seed + count)
