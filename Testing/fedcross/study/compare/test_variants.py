from pathlib import Path

import pytest

from fedcross.errors import ConfigError
from fedcross.strategies.registry import make_method
from fedcross.study.compare.variants import DEFAULT_METHODS, list_seeds, parse_methods, with_seed
from fedcross.training.config.configuration import TrainingConfig


def test_every_method_visits_every_site_equally_often(small: TrainingConfig) -> None:
    config = small.model_copy(update={"method": make_method(rounds=6, local_epochs=2)})
    for variant in parse_methods(DEFAULT_METHODS, config):
        method = variant.config.method
        # Of two sites: one member needs twice the rounds; all others visit each site in each round.
        visits = method.rounds * (1 if method.kind == "fedcross" else 2)
        assert visits == 12, variant.spec
        assert method.local_epochs == 2
        validated = method.rounds / variant.config.training.validate_every
        assert validated == 2, variant.spec


def test_rounds_are_rounded_up_when_members_do_not_divide_the_visits(small: TrainingConfig) -> None:
    sites = tuple(
        small.sites[0].model_copy(update={"name": f"s{index}", "label_map": {}})
        for index in range(3)
    )
    config = small.model_copy(update={"sites": sites, "method": make_method(rounds=5)})
    (variant,) = parse_methods("fedcross-ens:members=2", config)
    assert (variant.config.members, variant.config.method.rounds) == (2, 8)  # 15 visits


def test_options_are_in_the_label_and_in_the_name_of_the_folder(small: TrainingConfig) -> None:
    plain, held, soup = parse_methods(
        "fedcross-ens, fedcross-ens:mu=0.01, fedcross-ens:average=soup:average_from=0.75", small
    )
    assert (plain.label, plain.slug) == ("FedCrossEns", "fedcross-ens")
    assert (held.label, held.slug) == ("FedCrossEns (mu 0.01)", "fedcross-ens-mu-0.01")
    assert held.config.method.mu == 0.01
    assert soup.label == "FedCrossEns (average soup, average_from 0.75)"
    assert (soup.config.method.average, soup.config.method.average_from) == ("soup", 0.75)


def test_variants_share_participation_and_have_the_defaults_of_other_options(
    small: TrainingConfig,
) -> None:
    base = make_method(
        kind="fedcross-ens", rounds=3, dropout=0.2, participation=0.5, schedule="random", mu=0.1
    )
    config = small.model_copy(update={"method": base})
    methods = {
        variant.spec: variant.config.method
        for variant in parse_methods("fedcross-ens,fedcross,fedavg,centralised", config)
    }
    assert methods["fedcross-ens"] == base
    assert methods["fedcross"].mu is None
    assert methods["fedcross"].schedule == "random"
    for kind in ("fedcross", "fedavg"):
        assert (methods[kind].dropout, methods[kind].participation) == (0.2, 0.5)
    recorded = {kind: method.model_dump() for kind, method in methods.items()}
    assert (recorded["centralised"]["dropout"], recorded["fedavg"]["schedule"]) == (0.0, "latin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no method to compare in ''"),
        ("fedsgd", "'fedsgd' is no method; known are .*fedcross, fedcross-ens"),
        ("fedavg,fedavg", "fedavg is named twice"),
        ("fedprox:mu=0.1,fedprox:mu=0.10", "fedprox:mu=0.10 is named twice"),
        ("fedavg:mu=0.1", "fedavg:mu=0.1: method: mu is for fedcross, fedcross-ens, fedprox"),
        ("fedprox:mu=-1", r"fedprox:mu=-1: method.mu must be greater than or equal to 0, got -1"),
        ("fedprox:mue=1", "fedprox:mue=1: method.mue is not a known key; did you mean mu"),
        ("fedprox:mu", "fedprox:mu: options are written name=value, got 'mu'"),
        ("fedprox:rounds=9", "rounds is the same for all methods"),
        ("fedcross-ens:members=3", "members must be at most the number of sites, 2, got 3"),
    ],
)
def test_a_wrong_list_of_methods_is_refused_with_its_reason(
    small: TrainingConfig, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_methods(text, small)
    assert "\n" not in str(caught.value)


def test_seeds_count_up_from_the_configurations_seed(small: TrainingConfig) -> None:
    config = small.model_copy(update={"seed": 7})
    assert list(list_seeds(config, 3)) == [7, 8, 9]
    (variant,) = parse_methods("local", config)
    assert with_seed(variant, 8).seed == 8
    with pytest.raises(ConfigError, match="--seeds must be at least 1, got 0"):
        list_seeds(config, 0)


def test_a_variant_keeps_the_paths_and_the_allowed_packages(small: TrainingConfig) -> None:
    kept = {"data_root": Path("/data"), "cache": Path("/cache"), "plugins": ("a-package",)}
    (variant,) = parse_methods("fedavg", small.model_copy(update=kept))
    assert {name: getattr(variant.config, name) for name in kept} == kept
