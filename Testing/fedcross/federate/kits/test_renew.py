"""A kit gets a new certificate while the other kits go on working."""

import json
import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedcross.cli import app
from fedcross.errors import ConfigError
from fedcross.federate.kits import renew as module
from fedcross.federate.kits.add_site import add_site
from fedcross.federate.kits.certificates import read_validity
from fedcross.federate.kits.renew import renew_kit
from fedcross.federate.kits.startup_kit import open_kit
from kit_files import absolute_paths, change_validity, contents

NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("name", "place", "stem"),
    [
        ("north", "sites/north", "client"),
        ("server", "server", "server"),
        ("admin", "admin", "client"),
    ],
)
def test_only_the_certificate_and_the_key_of_one_kit_change(
    kits: Path, name: str, place: str, stem: str
) -> None:
    change_validity(
        kits, open_kit(kits / place), NOW - timedelta(days=365), NOW + timedelta(days=9)
    )
    before = contents(kits)
    done = CliRunner().invoke(app, ["federation", "renew", str(kits), name])
    assert done.exit_code == 0, done.output
    after = contents(kits)
    assert set(after) == set(before)
    changed = {path for path in before if after[path] != before[path]}
    assert changed - {"README.txt"} == {
        f"{place}/startup/{stem}.crt",
        f"{place}/startup/{stem}.key",
        "authority/cert.json",
    }
    validity = read_validity(open_kit(kits / place))  # also: signed by the authority of the others
    assert validity.days_left(NOW) in (359, 360)
    assert f"valid until {validity.ends:%d %B %Y}" in " ".join(done.output.split())
    assert ("Give the folder to its owner" in done.output) == (name != "admin")
    assert list(absolute_paths(kits)) == []
    for path in (kits / place / "startup").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_kit_that_was_handed_over_is_renewed_too(kits: Path) -> None:
    shutil.rmtree(kits / "sites" / "north")
    startup = renew_kit(kits, "north")
    assert open_kit(startup.parent, "site").name == "north"
    assert [path.name for path in startup.parent.iterdir()] == ["startup"]
    assert stat.S_IMODE(startup.parent.stat().st_mode) == 0o700


def test_a_hospital_that_was_added_is_renewed_and_others_can_still_be_added(kits: Path) -> None:
    add_site(kits, "east")
    key = (kits / "sites" / "east" / "startup" / "client.key").read_bytes()
    renew_kit(kits, "east")
    assert (kits / "sites" / "east" / "startup" / "client.key").read_bytes() != key
    add_site(kits, "west")
    assert read_validity(open_kit(kits / "sites" / "west")).days_left(NOW) in (359, 360)


def test_a_name_without_a_kit_changes_nothing(kits: Path) -> None:
    before = contents(kits)
    with pytest.raises(ConfigError, match="no kit 'west'; it has server, admin, north, south"):
        renew_kit(kits, "west")
    assert contents(kits) == before


def test_an_authority_that_ends_with_the_certificate_renews_nothing(kits: Path) -> None:
    path = kits / "authority" / "cert.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    state["north"]["cert"] = state["root_cert"]  # a certificate with the same end
    path.write_text(json.dumps(state), encoding="utf-8")
    before = contents(kits)
    with pytest.raises(ConfigError, match="as long as the authority"):
        renew_kit(kits, "north")
    assert contents(kits) == before


def test_after_an_error_the_kit_in_use_is_still_there(
    kits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ConfigError("broken")

    before = contents(kits)
    monkeypatch.setattr(module, "make_kits", fail)
    with pytest.raises(ConfigError, match="broken"):
        renew_kit(kits, "north")
    assert contents(kits) == before
