import sys
from pathlib import Path

import pytest

from fedcross.errors import DataError, PluginError
from fedcross.runtime.plugins import (
    NOT_ALLOWED,
    NOT_INSTALLED,
    VARIABLE,
    allow_plugins,
    allowed_plugins,
    describe_plugin,
    explain_failure,
    load_plugin,
    require_plugin,
)
from installed_packages import nothing_allowed, write_package

__all__ = ["nothing_allowed"]  # a fixture

SOURCE = "def make(size):\n    return size + 1\n\nnumber = 3\n"
ENTRIES = {
    "fedcross.losses": {
        "good": "toy_plugin:make",
        "number": "toy_plugin:number",
        "lost": "toy_plugin:lost",
    },
    "fedcross.networks": {"net": "toy_plugin:make"},
}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install a package, without allowing it; its module is not imported."""
    write_package(tmp_path, "toy_plugin", SOURCE, ENTRIES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_plugin", raising=False)
    return "toy_plugin"


def test_the_entry_point_of_an_allowed_package_is_imported(toy: str) -> None:
    allow_plugins(toy)
    assert load_plugin("loss", toy, "good")(4) == 5
    assert toy in sys.modules


def test_nothing_is_imported_of_a_package_that_is_not_allowed(toy: str) -> None:
    with pytest.raises(PluginError) as caught:
        load_plugin("loss", toy, "good")
    assert caught.value.message == (
        "The loss 'good' is code of the package toy_plugin, which you have not allowed."
    )
    assert caught.value.hint == (
        "If you trust it: --allow-plugin toy_plugin, or FEDCROSS_PLUGINS=toy_plugin in the environment."
    )
    assert toy not in sys.modules


def test_a_package_that_is_not_installed_is_named_with_its_version() -> None:
    allow_plugins("no-such-package")
    with pytest.raises(PluginError, match=r"package no-such-package 2\.1, which is not installed"):
        require_plugin("network", "no-such-package", "net", "2.1")


def test_a_package_that_is_found_is_not_imported_by_the_check(toy: str) -> None:
    allow_plugins(toy)
    assert require_plugin("loss", toy, "good", "1.0.0").value == "toy_plugin:make"
    assert toy not in sys.modules


@pytest.mark.parametrize(
    ("kind", "entry", "version", "message"),
    [
        ("loss", "good", "1.0.1", "which is installed in the version 1.0.0"),
        ("loss", "net", None, "has no loss 'net'; it offers 'good', 'number', 'lost'"),
        ("optimizer", "good", None, "has no optimizer 'good'; it offers none"),
        ("loss", "number", None, "cannot be called, got int"),
        ("loss", "lost", None, "failed with AttributeError: "),
    ],
)
def test_what_is_wrong_with_an_entry_point_is_one_sentence(
    toy: str, kind: str, entry: str, version: str | None, message: str
) -> None:
    allow_plugins(toy)
    with pytest.raises(PluginError, match=message):
        load_plugin(kind, toy, entry, version)  # type: ignore[arg-type]


def test_an_import_that_fails_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {"fedcross.losses": {"bad": "bad_plugin:make"}}
    write_package(tmp_path, "bad_plugin", "import no_such_module\n", entries)
    monkeypatch.syspath_prepend(tmp_path)
    allow_plugins("bad-plugin")
    with pytest.raises(PluginError, match="failed with ModuleNotFoundError: No module named"):
        load_plugin("loss", "bad_plugin", "bad")


def test_the_environment_allows_packages_and_names_are_compared_as_indexes_do(
    toy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, " Toy.Plugin ,, other")
    assert allowed_plugins() == ["other", "toy-plugin"]
    assert load_plugin("loss", toy, "good")(1) == 2
    allow_plugins("An_Other")
    assert allowed_plugins() == ["an-other", "other", "toy-plugin"]


def test_a_package_is_described_by_its_version_only_if_it_is_allowed(toy: str) -> None:
    assert describe_plugin("no-such-package") == NOT_INSTALLED
    assert describe_plugin(toy) == NOT_ALLOWED
    allow_plugins(toy)
    assert describe_plugin(toy) == "1.0.0"


def test_an_own_error_and_a_lack_of_memory_keep_their_type() -> None:
    for error in (DataError("A case."), MemoryError()):
        with pytest.raises(type(error)), explain_failure("The loss"):
            raise error
    with pytest.raises(KeyError), explain_failure("The loss", KeyError):
        raise KeyError("kept")


def test_the_first_line_of_a_foreign_error_is_said() -> None:
    with pytest.raises(PluginError) as caught, explain_failure("The loss 'x'"):
        raise ValueError("Too large.\nA second line")
    assert str(caught.value) == "The loss 'x' failed with ValueError: Too large."
