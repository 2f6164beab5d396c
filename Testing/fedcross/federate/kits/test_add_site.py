"""A hospital joins a federation whose kits are in use."""

import json
import shutil
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fedcross.cli import app
from fedcross.errors import ConfigError, OutputError
from fedcross.federate.kits import federation_folder as module
from fedcross.federate.kits.add_site import add_site
from fedcross.federate.kits.certificates import read_ends, read_validity
from fedcross.federate.kits.federation_folder import LOCK
from fedcross.federate.kits.roster import read_roster
from fedcross.federate.kits.site_settings import load_site_settings
from fedcross.federate.kits.startup_kit import open_kit
from fedcross.runtime.files.lock import folder_lock
from kit_files import absolute_paths, contents


def test_a_new_kit_belongs_to_the_same_authority_and_changes_no_kit_in_use(kits: Path) -> None:
    before = contents(kits)
    done = CliRunner().invoke(app, ["federation", "add", str(kits), "east"])
    assert done.exit_code == 0, done.output
    after = contents(kits)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {
        "README.txt",
        "admin/local/sites.json",
        "authority/cert.json",
        "project.yml",
    }
    new = {name for name in after if name not in before}
    assert all(name.startswith("sites/east/") for name in new)
    kit = open_kit(kits / "sites" / "east", "site")
    assert (kit.name, kit.federation, kit.host, kit.port) == ("east", "tiny", "localhost", 18002)
    assert kit.authority.read_bytes() == open_kit(kits / "server").authority.read_bytes()
    assert read_validity(kit).days_left(datetime.now(UTC)) in (359, 360)
    assert read_roster(open_kit(kits / "admin")) == ("north", "south", "east")
    assert "sites/east" in (kits / "README.txt").read_text(encoding="utf-8")
    assert load_site_settings(kit.path).share[0] == "loss"
    assert "(north, south)" in (kit.path / "local" / "site.toml").read_text(encoding="utf-8")
    assert list(absolute_paths(kits)) == []


def test_the_new_kit_has_the_files_and_restrictions_of_the_others(kits: Path) -> None:
    new, old = add_site(kits, "east"), kits / "sites" / "north"
    assert {name.replace("east", "north") for name in contents(new)} == set(contents(old))
    for name in ("local/resources.json", "local/authorization.json"):
        assert json.loads((new / name).read_bytes()) == json.loads((old / name).read_bytes())
    for path in (kits / "project.yml", kits / "README.txt", new, *new.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE((kits / "authority" / "cert.json").stat().st_mode) == 0o600


def test_hospitals_join_one_after_another_also_when_the_other_kits_were_handed_over(
    kits: Path,
) -> None:
    shutil.rmtree(kits / "server")
    shutil.rmtree(kits / "admin")
    shutil.rmtree(kits / "sites")
    done = CliRunner().invoke(app, ["federation", "add", str(kits), "east"])
    assert "Add east to local/sites.json in the coordinator's kit, admin" in done.output
    add_site(kits, "west")
    for name in ("east", "west"):
        kit = open_kit(kits / "sites" / name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(kit.certificate, kit.key)
        read_validity(kit)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("north", "has a hospital north already"),
        ("Saint Mary", "Saint Mary"),
        ("../up", "up"),
        ("localhost", "name of the server"),
    ],
)
def test_a_name_that_is_taken_or_cannot_be_used_changes_nothing(
    kits: Path, name: str, words: str
) -> None:
    before = contents(kits)
    with pytest.raises(ConfigError, match=words):
        add_site(kits, name)
    assert contents(kits) == before


def test_a_folder_without_a_federation_and_damaged_files_are_refused(
    kits: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"has no project\.yml"):
        add_site(tmp_path, "east")
    (kits / "project.yml").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"project\.yml in .* is damaged"):
        add_site(kits, "east")


def test_a_damaged_authority_is_one_sentence(kits: Path) -> None:
    (kits / "authority" / "cert.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"cert\.json of the federation's authority is damaged"):
        add_site(kits, "east")


def test_an_authority_that_ends_soon_makes_no_kit(
    kits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, first = read_ends(kits / "authority")
    assert (ends - datetime.now(UTC)).days in (3599, 3600)
    assert (first - datetime.now(UTC)).days in (359, 360)
    monkeypatch.setattr(
        "fedcross.federate.kits.federation_folder.EXPIRES_SOON", timedelta(days=3700)
    )
    with pytest.raises(ConfigError, match=r"is valid until .* only"):
        add_site(kits, "east")


def test_an_interrupted_call_is_completed_by_the_next_one(
    kits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_readme", fail)
        with pytest.raises(OutputError, match="cannot be written: No space left on device"):
            add_site(kits, "east")
    key = (kits / "sites" / "east" / "startup" / "client.key").read_bytes()
    add_site(kits, "east")
    assert (kits / "sites" / "east" / "startup" / "client.key").read_bytes() == key
    assert read_roster(open_kit(kits / "admin")) == ("north", "south", "east")
    assert sorted(path.name for path in kits.iterdir()) == [
        "README.txt",
        "admin",
        "authority",
        "project.yml",
        "server",
        "sites",
    ]


def test_two_calls_at_the_same_time_do_not_mix(kits: Path) -> None:
    with (
        folder_lock(kits / "authority" / LOCK),
        pytest.raises(ConfigError, match="folder authority is in use by process"),
    ):
        add_site(kits, "east")


def test_a_name_that_another_process_adds_meanwhile_is_kept(
    kits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = module.folder_lock

    @contextmanager
    def add_another_first(*arguments: Any, **options: Any) -> Iterator[None]:
        monkeypatch.setattr(module, "folder_lock", begin)
        add_site(kits, "west")
        with begin(*arguments, **options):
            yield

    monkeypatch.setattr(module, "folder_lock", add_another_first)
    add_site(kits, "east")
    _, federation = module.read_federation(kits)
    assert federation.sites[-2:] == ("west", "east")
