"""The methods of a comparison: one configuration each, all with the same budget.

The budget is ``rounds x local_epochs`` epochs at every site. Whatever the method, every training case is
in that number of epochs, summed over the members.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from fedcross.contract.parse import parse_toml
from fedcross.errors import ConfigError
from fedcross.strategies.method import Method
from fedcross.strategies.registry import METHODS
from fedcross.training.config.configuration import TrainingConfig, parse_config
from fedcross.training.config.source import complete_values

DEFAULT_METHODS = "fedcross-ens,fedcross,fedavg,fedprox,fedbn,local,centralised"
BUDGET = ("rounds", "local_epochs")
SHARED = ("participation", "dropout", "schedule")
"""Options that a method takes from the configuration's method, if both have them."""


@dataclass(frozen=True)
class Variant:
    """One method with its options.

    Attributes
    ----------
    spec
        Text of the user, for instance ``fedprox:mu=0.1``.
    label
        Label for people, for instance ``FedProx (mu 0.1)``.
    config
        Configuration of the runs.
    """

    spec: str
    label: str
    config: TrainingConfig

    @property
    def slug(self) -> str:
        """The spec as the name of a folder."""
        return re.sub(r"[^a-z0-9.]+", "-", self.spec)


def parse_methods(text: str, config: TrainingConfig) -> list[Variant]:
    """Return the variants that a list of methods names.

    Parameters
    ----------
    text
        Methods with commas between them; options of a method follow it after colons:
        ``fedcross-ens,fedprox:mu=0.1,fedcross-ens:average=soup:average_from=0.75``.
    config
        Configuration of the comparison. Its method passes on the budget and the options `SHARED`;
        a variant of the same kind gets all its options.

    Raises
    ------
    ConfigError
        If a method or an option is not known or does not fit, or a method is named twice.
    """
    specs = [spec.strip() for spec in text.split(",") if spec.strip()]
    if not specs:
        raise ConfigError(f"There is no method to compare in {text!r}.")
    variants = [_make_variant(spec, config) for spec in specs]
    for one, other in combinations(variants, 2):
        if one.slug == other.slug or one.label == other.label:
            raise ConfigError(f"The method {other.spec} is named twice.")
    return variants


def _make_variant(spec: str, config: TrainingConfig) -> Variant:
    kind, *settings = spec.split(":")
    if kind not in METHODS:
        raise ConfigError(f"{kind!r} is no method; known are {', '.join(METHODS)}.")
    options = dict(_parse_option(setting, spec) for setting in settings)
    method = {**_inherit_options(kind, config.method), **options}
    label = METHODS[kind].title
    if options:
        label += f" ({', '.join(f'{name} {value}' for name, value in options.items())})"
    return Variant(
        spec, label, _with_equal_budget(change_options(config, spec, method=method), spec)
    )


def _parse_option(setting: str, spec: str) -> tuple[str, Any]:
    name, equals, value = setting.partition("=")
    if not equals or name == "kind":
        raise ConfigError(f"{spec}: options are written name=value, got {setting!r}.")
    if name in BUDGET:
        raise ConfigError(f"{spec}: {name} is the same for all methods, set it in [method].")
    try:
        return name, parse_toml(f"value = {value}")["value"]
    except ValueError:
        return name, value  # a word


def _inherit_options(kind: str, method: Method) -> dict[str, Any]:
    """Return the options that a method of this kind takes from the configuration's method."""
    if kind == method.kind:
        return method.model_dump()
    shared = {*BUDGET, *SHARED} & METHODS[kind].option_names() & method.option_names()
    return {"kind": kind, **{name: getattr(method, name) for name in shared}}


def _with_equal_budget(config: TrainingConfig, spec: str) -> TrainingConfig:
    """Return the configuration with the rounds, and the validations, of the budget."""
    rounds = config.method.rounds_for_budget(config.method.rounds, len(config.sites))
    if rounds == config.method.rounds:
        return config
    every = config.training.validate_every * rounds / config.method.rounds
    return change_options(
        config, spec, method={"rounds": rounds}, training={"validate_every": max(1, round(every))}
    )


def change_options(
    config: TrainingConfig, source: str, **sections: Mapping[str, Any]
) -> TrainingConfig:
    """Return the configuration with other values, checked like those of a file.

    Parameters
    ----------
    config
        The configuration.
    source
        Name of the change in errors.
    sections
        Options by section. A change of the kind or the preset replaces all options of a section.

    Raises
    ------
    ConfigError
        If an option is not known or does not fit.
    """
    values = complete_values(config)
    for section, changes in sections.items():
        is_new = "kind" in changes or "preset" in changes
        values[section] = changes if is_new else {**values[section], **changes}
    return parse_config(values, source=source)


def with_seed(variant: Variant, seed: int) -> TrainingConfig:
    """Return the variant's configuration with another seed."""
    return variant.config.model_copy(update={"seed": seed})


def list_seeds(config: TrainingConfig, count: int) -> Sequence[int]:
    """Return `count` seeds, counted up from the configuration's.

    Raises
    ------
    ConfigError
        If `count` is below 1.
    """
    if count < 1:
        raise ConfigError(f"--seeds must be at least 1, got {count}.")
    return range(config.seed, config.seed + count)
