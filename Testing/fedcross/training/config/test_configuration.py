from pathlib import Path

import pytest

import dataset_trees
from fedcross.errors import ConfigError
from fedcross.strategies.registry import METHODS
from fedcross.training.config.configuration import (
    TrainingConfig,
    config_sha256,
    config_values,
    parse_config,
)
from fedcross.training.config.file import load_config
from fedcross.training.data.check.federation import check_data
from tiny_federation import write_federation

CONFIGS = Path(__file__).parents[4] / "training" / "configs"

PLAIN = """
name = "Prostate"
[preprocessing]
spacing_mm = [0.5, 0.5, 1.0]
patch_size = [160, 160, 32]
[[structures]]
name = "Prostate"
label = 1
[[sites]]
name = "a"
images = "a/images"
labels = "a/labels"
split = [19, 3, 10]
"""


def read(tmp_path: Path, text: str, *, top: str = "") -> TrainingConfig:
    path = tmp_path / "c.toml"
    path.write_text(top + text, encoding="utf-8")
    return load_config(path)


def test_defaults_are_the_authors_values_except_for_normalisation(tmp_path: Path) -> None:
    config = read(tmp_path, PLAIN)
    assert (config.method.rounds, config.method.local_epochs, config.total_epochs) == (50, 32, 1600)
    settings = config.training
    assert (settings.batch_size, settings.patches_per_case) == (16, 4)
    assert (settings.optimizer, settings.learning_rate, settings.momentum) == ("sgd", 0.01, 0.99)
    assert (settings.weight_decay, settings.rotation_rad) == (0, 0.1)
    assert (config.network.name, config.network.norm, config.network.classes) == (
        "unet",
        "instance",
        2,
    )


def test_fedcross_ens_has_one_member_per_site_and_fedcross_has_one(tmp_path: Path) -> None:
    path = write_federation(tmp_path, sites=3, cases=1, split=(1, 0, 0))
    assert load_config(path).members == 3
    path = write_federation(tmp_path, sites=3, cases=1, split=(1, 0, 0), kind="fedcross")
    assert load_config(path).members == 1


def test_the_number_of_network_classes_follows_from_the_structures(tmp_path: Path) -> None:
    two = PLAIN.replace("[[sites]]", '[[structures]]\nname = "Bladder"\nlabel = 2\n[[sites]]')
    assert read(tmp_path, two).network.classes == 3


def test_every_optional_field_has_a_description() -> None:
    def models(model: type) -> list[type]:
        inner = [
            kind
            for field in model.model_fields.values()
            for kind in (field.annotation, *getattr(field.annotation, "__args__", ()))
            if hasattr(kind, "model_fields") and kind.__module__.startswith("fedcross.training.")
        ]
        return [model, *(found for kind in inner for found in models(kind))]

    for model in [*models(TrainingConfig), *METHODS.values()]:
        for name, field in model.model_fields.items():
            if not field.is_required() and not hasattr(field.annotation, "model_fields"):
                assert field.description or name in ("network", "method"), (
                    f"{model.__name__}.{name}"
                )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("", "[training]\nlerning_rate = 1"), "training.lerning_rate.*did you mean learning_rate"),
        (("", "[training]\nlearning_rate = -1"), r"training.learning_rate.*greater than 0, got -1"),
        (("", "[training]\nlearning_rate = nan"), r"training.learning_rate.*finite.*nan"),
        (
            ("", '[training]\noptimizer = "lion"'),
            r"training.optimizer.*'sgd', 'adamw' or 'custom', got 'lion'",
        ),
        (("", '[network]\nname = "vnet"'), r"network.name.*'unet'.*got 'vnet'"),
        (("", '[network]\nname = "unet"\nwidth = 3'), r"network.width.*base_channels"),
        (("", '[network]\nname = "unet"\nclasses = 5'), r"network.classes must be 2 .*got 5"),
        (("", "[method]\nmembers = 2"), "members must be at most the number of sites, 1, got 2"),
        (("", '[method]\nkind = "fedcross"\nmembers = 2'), "one member, got members = 2"),
        (
            ("", "[training]\nwarmup_epochs = 4\n[method]\nrounds = 2\nlocal_epochs = 2"),
            "warmup_epochs must be below the run's 4 local epochs, got 4",
        ),
        (("", "[loss]\nfocal_gamma = 1"), 'focal_gamma is for kind = "dice-focal"'),
        (("", "[loss]\nclass_weights = [1, 0]"), r"class_weights.1.*greater than 0, got 0"),
        (
            ("", "[loss]\nclass_weights = [1, 2, 3]"),
            r"class_weights must have 2 values, the background's .* got 3",
        ),
        (("", "[method]\nrounds = 99999999999"), "method.rounds.*less than or equal to 100000"),
        (("", "[method]\nrounds = true"), "rounds must be a number, not true"),
        (("160, 160, 32", "160, true, 32"), "patch_size must be a number, not true"),
        (("", "[method]\nrounds = 0"), "method.rounds.*greater than or equal to 1, got 0"),
        (("", '[method]\nschedule = "weekly"'), "method.schedule.*'latin'.*got 'weekly'"),
        (("", "[mthod]\nrounds = 1"), "mthod.*did you mean method"),
        (("160, 160, 32", "160, 160, 33"), r"patch_size must be multiples of 16.*160, 33"),
        (("160, 160, 32", "16, 16, 16"), "patch_size must be larger than 16"),
        (("160, 160, 32", "160, 160"), "preprocessing.patch_size.2 is missing"),
        (("label = 1", "label = 2"), r"labels 1, 2, 3 ... in order, got \[2\]"),
        (("split = [19, 3, 10]", "split = [0, 3, 10]"), "sites.a.split.0.*1, got 0"),
        (("split = [19, 3, 10]", ""), r"sites.a.*needs split = \[train, validation, test\]"),
        (("split = [19, 3, 10]", 'split = {trian = ["x"]}'), "sites.a.split.trian.*train"),
        (('images = "a/images"', ""), "sites.a.*or images and labels, or list"),
        (('images = "a/images"', 'images = "a"\nlist = "l.csv"'), "sites.a.*or list"),
        (("split = [19", "label_map = {2 = 7}\nsplit = [19"), r"label_map of site a.*\[1\].*2: 7"),
        (('name = "a"', 'name = "../a"'), "sites.0.name.*pattern"),
    ],
)
def test_the_error_names_the_key_and_its_value_in_one_line(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    old, new = change
    text = PLAIN.replace(old, new) if old else f"{new}\n{PLAIN}"
    top = 'name = "Prostate"\n' if not old else ""
    if not old:
        text = text.replace('\nname = "Prostate"\n[pre', "\n[pre", 1)
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, text, top=top)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_a_missing_file_and_invalid_toml_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read(tmp_path, "a = [")
    with pytest.raises(ConfigError, match="not valid TOML: values are nested too deeply"):
        read(tmp_path, "a = " + "[" * 2000 + "]" * 2000)


@pytest.mark.parametrize("value", ["[" + "1," * 5000 + "]", '"' + "x" * 5000 + '"'])
def test_a_long_value_is_shown_in_short(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"seed must be a valid integer, got .*\.\.\.") as caught:
        read(tmp_path, PLAIN, top=f"seed = {value}\n")
    assert len(str(caught.value)) < 300


def test_the_data_folder_defaults_to_the_configuration_files_folder(tmp_path: Path) -> None:
    assert read(tmp_path, PLAIN).data_root == tmp_path
    assert read(tmp_path, PLAIN, top='data_root = "data"\n').data_root == tmp_path / "data"
    path = tmp_path / "c.toml"
    assert load_config(path, tmp_path / "else").data_root == tmp_path / "else"


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = read(tmp_path, PLAIN, top='data_root = "~/data"\ncache = "~/cache"\n')
    assert config.data_root == tmp_path / "home" / "data"
    assert config.cache == tmp_path / "home" / "cache"


def test_the_hash_covers_the_seed_but_not_the_data_folder(tmp_path: Path) -> None:
    plain = config_sha256(read(tmp_path, PLAIN))
    assert config_sha256(read(tmp_path, PLAIN, top='data_root = "data"\n')) == plain
    assert config_sha256(read(tmp_path, PLAIN, top="seed = 0\n")) == plain
    assert config_sha256(read(tmp_path, PLAIN, top="seed = 1\n")) != plain


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_configuration_is_valid(path: Path) -> None:
    assert load_config(path).members >= 1


def prostate_downloads(root: Path, layout: str) -> None:
    """Write the four folders: the unpacked downloads, or the layout of the authors' code."""
    names = {"MSD-Prostate": "prostate_0{}", "NCI-ISBI-Prostate": "Prostate3T-01-000{}"}
    names |= {"PROMISE12": "Case0{}", "PROSTATEx": "ProstateX-000{}"}
    if layout == "downloads":
        dataset_trees.write_msd(root / "MSD-Prostate" / "Task05_Prostate")
        dataset_trees.write_nci_isbi_2013(root / "NCI-ISBI-Prostate")
        dataset_trees.write_promise12(root / "PROMISE12")
        dataset_trees.write_prostatex(root / "PROSTATEx")
    else:
        for number, (folder, name) in enumerate(names.items()):
            images, labels = ("image", "label") if number else ("imagesTr", "labelsTr")
            cases = {name.format(n): 3 * number + n for n in range(3)}
            dataset_trees.write_preprocessed(root / folder, cases, images, labels)


@pytest.mark.parametrize("name", ["prostate-midl2023.toml", "prostate-fast.toml"])
@pytest.mark.parametrize("layout", ["downloads", "authors"])
def test_a_prostate_configuration_finds_every_data_set_in_both_layouts(
    tmp_path: Path, name: str, layout: str
) -> None:
    prostate_downloads(tmp_path, layout)
    config = load_config(CONFIGS / name, data_root=tmp_path)
    paper = {site.name: site.split for site in config.sites}
    assert paper == {
        "MSD": (19, 3, 10),
        "NCI-ISBI": (48, 8, 24),
        "PROMISE12": (30, 5, 15),
        "PROSTATEx": (122, 20, 62),
    }
    tiny = tuple(site.model_copy(update={"split": (1, 0, 1)}) for site in config.sites)
    report = check_data(config.model_copy(update={"sites": tiny}))
    # The tiny sets share images, so only the problems of single sites are compared.
    assert [problem for site in report.sites for problem in site.problems()] == []
    found = [len(site.readable) for site in report.sites]
    assert found == ([3, 4, 3, 2] if layout == "downloads" else [3, 3, 3, 3])
    assert all(case.volumes_ml["Prostate"] > 0 for site in report.sites for case in site.cases)


def test_the_fast_prostate_configuration_differs_from_the_papers_only_in_the_listed_keys() -> None:
    paper, fast = (
        config_values(load_config(CONFIGS / f"prostate-{name}.toml"))
        for name in ("midl2023", "fast")
    )
    sections = ("method", "network", "preprocessing", "training")
    different = {
        f"{section}.{key}"
        for section in sections
        for key, value in paper[section].items()
        if fast[section][key] != value
    }
    assert different == {
        "method.rounds",
        "method.local_epochs",
        "method.schedule",
        "network.norm",
        "training.foreground_fraction",
        "training.validate_every",
        "training.precision",
    }
    assert fast["training"].keys() - paper["training"].keys() == {"keep", "max_gradient_norm"}
    assert fast["augmentation"]["preset"] == "strong"
    assert {key for key in paper if paper[key] != fast[key]} == {*sections} - {"preprocessing"}
    assert "augmentation" not in paper


def test_an_option_of_a_later_version_changes_the_identity_only_if_it_is_used(
    tmp_path: Path,
) -> None:
    plain = read(tmp_path, PLAIN)
    default = read(tmp_path, PLAIN + '[training]\nrate_schedule = "polynomial"\n')
    cosine = read(tmp_path, PLAIN + '[training]\nrate_schedule = "cosine"\n')
    focal = read(tmp_path, PLAIN + '[loss]\nkind = "dice-focal"\n')
    assert config_values(read(tmp_path, PLAIN + "[loss]\n")) == config_values(plain)
    assert config_values(focal)["loss"]["focal_gamma"] == 2.0
    assert config_values(default) == config_values(plain)
    assert "rate_schedule" not in config_values(plain)["training"]
    assert config_values(cosine)["training"]["rate_schedule"] == "cosine"
    assert config_sha256(cosine) != config_sha256(plain)
    record = parse_config(config_values(cosine), source="record", is_record=True)
    assert record.training == cosine.training


def test_the_identity_does_not_depend_on_the_default_number_of_sites(tmp_path: Path) -> None:
    sections = ("", "[engine]\nmin_sites = 1\n", "[engine]\nmin_sites = 2\n")
    config, one, two = (read(tmp_path, PLAIN + section) for section in sections)
    assert config.engine.min_sites is None
    assert config_values(config)["engine"]["min_sites"] == 1  # the default of earlier versions
    assert config_sha256(config) == config_sha256(one) != config_sha256(two)
