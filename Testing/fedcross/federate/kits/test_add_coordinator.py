"""A second person gets a kit to lead runs."""

import shutil
import stat
from pathlib import Path

import pytest
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner, Result

from fedcross.cli import app
from fedcross.errors import ConfigError
from fedcross.federate.kits.add_coordinator import add_coordinator
from fedcross.federate.kits.add_site import add_site
from fedcross.federate.kits.certificates import load_certificate, read_validity
from fedcross.federate.kits.renew import renew_kit
from fedcross.federate.kits.roster import read_roster
from fedcross.federate.kits.startup_kit import open_kit
from kit_files import contents


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["federation", *map(str, words)])


def test_the_new_kit_has_the_rights_of_the_first_and_changes_no_kit_in_use(kits: Path) -> None:
    before = contents(kits)
    done = run("add", kits, "anna", "--coordinator")
    assert done.exit_code == 0, done.output
    after = contents(kits)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"README.txt", "authority/cert.json", "project.yml"}
    new = {name for name in after if name not in before}
    assert {name.replace("coordinators/anna", "admin") for name in new} == {
        name for name in before if name.startswith("admin/")
    }
    kit, first = open_kit(kits / "coordinators" / "anna", "admin"), open_kit(kits / "admin")
    assert (kit.name, kit.host, kit.port) == ("anna@fedcross.org", first.host, first.port)
    assert read_roster(kit) == ("north", "south")
    read_validity(kit)
    roles = [
        load_certificate(each.certificate).subject.get_attributes_for_oid(
            NameOID.UNSTRUCTURED_NAME
        )[0]
        for each in (kit, first)
    ]
    assert roles[0].value == roles[1].value == "project_admin"
    assert "coordinators/anna" in (kits / "README.txt").read_text(encoding="utf-8")
    for path in (kits / "coordinators").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert stat.S_IMODE((kits / "coordinators").stat().st_mode) == 0o700


def test_a_hospital_that_joins_is_entered_into_the_kits_of_all_coordinators(kits: Path) -> None:
    add_coordinator(kits, "anna")
    add_coordinator(kits, "bert")
    shutil.rmtree(kits / "coordinators" / "bert")  # it was handed over
    done = run("add", kits, "east")
    assert read_roster(open_kit(kits / "admin")) == ("north", "south", "east")
    assert read_roster(open_kit(kits / "coordinators" / "anna")) == ("north", "south", "east")
    words = " ".join(done.output.split())
    assert "Add east to local/sites.json in the coordinator's kit, bert" in words
    assert "kit, anna" not in words


def test_each_coordinator_is_renewed_alone(kits: Path) -> None:
    add_coordinator(kits, "anna")
    before = contents(kits)
    done = run("renew", kits, "anna")
    assert done.exit_code == 0, done.output
    assert "The coordinator puts the folder" in done.output
    changed = {name for name, data in contents(kits).items() if before.get(name) != data}
    assert changed - {"README.txt"} == {
        "authority/cert.json",
        "coordinators/anna/startup/client.crt",
        "coordinators/anna/startup/client.key",
    }
    shutil.rmtree(kits / "admin")
    renew_kit(kits, "admin")
    add_site(kits, "east")  # the renewed kit has no list of names here
    assert not (kits / "admin" / "local").exists()


@pytest.mark.parametrize("name", ["admin", "server", "north", "anna", "Saint Mary", "a@b.org"])
def test_a_name_that_is_taken_or_cannot_be_used_changes_nothing(kits: Path, name: str) -> None:
    add_coordinator(kits, "anna")
    before = contents(kits)
    with pytest.raises(ConfigError):
        add_coordinator(kits, name)
    assert contents(kits) == before
    with pytest.raises(ConfigError):
        add_site(kits, "anna")


def test_a_coordinator_sends_no_request(kits: Path) -> None:
    done = run("add", kits, "anna", "--coordinator", "--request", kits / "README.txt")
    assert "A request is for a hospital only" in str(done.exception)
