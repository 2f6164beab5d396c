import json
import shutil
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedcross.commands.site import app
from fedcross.errors import ConfigError
from fedcross.federate.kits.connection import UntrustedError, check_connection
from fedcross.federate.kits.kit_checks import check_certificate, check_key, check_policy
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.settings_checks import (
    check_cases,
    check_configuration,
    check_device,
    check_disk,
)
from fedcross.federate.kits.site_check import check_site
from fedcross.federate.kits.site_settings import SiteSettings
from fedcross.federate.kits.startup_kit import Kit, open_kit
from fedcross.federate.supervise.server_connection import UnreachableError
from fedcross.runtime.reporting import NullReporter
from fedcross.training.config.configuration import config_sha256
from fedcross.training.config.file import load_config
from kit_files import change_validity
from tiny_federation import write_federation
from tls_server import run_server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("federation") / "kits"
    init_federation(made, Federation("tiny", ("s0", "s1"), "localhost", 18002))
    return made


@pytest.fixture
def kit(folder: Path, tmp_path: Path) -> Kit:
    shutil.copytree(folder / "sites" / "s0", tmp_path / "s0")
    return open_kit(tmp_path / "s0")


def check_with_policy(kit: Kit, **content: object) -> str:
    """Write a privacy policy and return the result of its check."""
    (kit.path / "local" / "privacy.json").write_text(json.dumps(content))
    return check_policy(kit)


NOISE = {"path": "fedcross.federate.flare.filters.ClippedNoise", "args": {"clip_norm": 1.0}}


def test_the_check_names_the_filters_of_a_hospitals_policy(kit: Kit) -> None:
    assert "Only the configuration's filters apply" in check_policy(kit)
    scope = {"name": "hospital", "task_result_filters": [NOISE]}
    message = check_with_policy(kit, scopes=[scope], default_scope="hospital")
    assert message.endswith("local/privacy.json: ClippedNoise.")


def test_a_privacy_policy_that_would_end_every_job_is_refused(kit: Kit) -> None:
    wrong = {"name": "hospital", "task_result_filters": [{**NOISE, "args": {"norm": 1}}]}
    with pytest.raises(ConfigError, match=r"local/privacy\.json cannot be used"):
        check_with_policy(kit, scopes=[wrong], default_scope="hospital")
    with pytest.raises(ConfigError, match="has no default_scope"):
        check_with_policy(kit, scopes=[{"name": "hospital"}])
    (kit.path / "local" / "privacy.json").write_text("{")
    with pytest.raises(ConfigError, match=r"local/privacy\.json cannot be used"):
        check_policy(kit)


def test_a_kit_connects_to_its_federations_server(folder: Path, kit: Kit) -> None:
    with run_server(open_kit(folder / "server")) as port:
        sentence = check_connection(replace(kit, port=port), 5)
    assert "both certificates are accepted (TLSv1.3)" in sentence


def test_a_kit_of_another_federation_does_not_accept_the_server(
    folder: Path, tmp_path: Path
) -> None:
    init_federation(tmp_path / "other", Federation("other", ("s0",), "localhost", 18002))
    stranger = open_kit(tmp_path / "other" / "sites" / "s0")
    with (
        run_server(open_kit(folder / "server")) as port,
        pytest.raises(UntrustedError, match="is not that of the federation's server"),
    ):
        check_connection(replace(stranger, port=port), 5)


def test_a_server_of_another_federation_does_not_accept_the_kit(
    folder: Path, kit: Kit, tmp_path: Path
) -> None:
    init_federation(tmp_path / "other", Federation("other", ("s0",), "localhost", 18002))
    foreign = tmp_path / "other" / "server" / "startup" / "rootCA.pem"
    with (
        run_server(open_kit(folder / "server"), trusted=foreign) as port,
        pytest.raises(UntrustedError, match="does not accept this kit's certificate"),
    ):
        check_connection(replace(kit, port=port), 5)


@pytest.mark.parametrize(
    ("begins", "ends", "words"),
    [(-9, -2, "localhost, TCP port [0-9]+ has expired"), (2, 9, "is not valid yet")],
)
def test_a_server_whose_kit_is_not_valid_is_named(
    folder: Path, kit: Kit, tmp_path: Path, begins: int, ends: int, words: str
) -> None:
    shutil.copytree(folder / "server", tmp_path / "server")
    server, now = open_kit(tmp_path / "server"), datetime.now(UTC)
    change_validity(folder, server, now + timedelta(days=begins), now + timedelta(days=ends))
    with run_server(server) as port, pytest.raises(UntrustedError, match=words):
        check_connection(replace(kit, port=port), 5)


def test_a_server_without_tls_is_reported(folder: Path, kit: Kit) -> None:
    with (
        run_server(open_kit(folder / "server"), silent=True) as port,
        pytest.raises(UnreachableError, match=r"may not use TLS|interrupt the connection"),
    ):
        check_connection(replace(kit, port=port), 5)


def test_a_closed_port_and_an_unknown_host_name_have_different_messages(kit: Kit) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"Nothing listens at localhost, TCP port {port}"):
        check_connection(replace(kit, port=port), 5)
    with pytest.raises(UnreachableError, match="cannot be resolved"):
        check_connection(replace(kit, host="no-such-host.invalid"), 5)


def test_a_key_that_is_missing_or_that_others_can_read_is_wrong(kit: Kit) -> None:
    assert check_key(kit).verdict == "good"
    kit.key.chmod(0o640)
    assert "chmod 600 client.key" in check_key(kit).message
    kit.key.unlink()
    assert check_key(kit).verdict == "wrong"


@pytest.mark.parametrize(
    ("days", "verdict", "words"),
    [
        (1, "good", "359 days|358 days"),
        (-2, "wrong", "set the clock"),
        (290, "good", "valid until"),
        (301, "warning", "valid until.*ask the coordinator"),
        (400, "wrong", "to renew it"),
    ],
)
def test_a_certificate_is_compared_with_the_current_time(
    kit: Kit, days: int, verdict: str, words: str
) -> None:
    import re

    found = check_certificate(kit, datetime.now(UTC) + timedelta(days=days))
    assert found.verdict == verdict
    assert re.search(words, found.message)


def test_the_finding_names_a_device_that_does_not_exist(tmp_path: Path) -> None:
    assert check_device(SiteSettings(data=tmp_path, device="cpu")).verdict == "warning"
    found = check_device(SiteSettings(data=tmp_path, device="cuda:99"))
    assert found.verdict == "wrong"
    assert "local/site.toml has cuda:99" in found.message


def test_the_disk_of_a_cache_folder_that_does_not_exist_yet_is_checked(
    kit: Kit, tmp_path: Path
) -> None:
    settings = SiteSettings(data=tmp_path, cache=tmp_path / "not" / "yet")
    assert len(list(check_disk(kit, settings))) == 2


def test_only_this_hospitals_cases_are_read(kit: Kit, tmp_path: Path) -> None:
    config = load_config(write_federation(tmp_path / "data"))
    shutil.rmtree(tmp_path / "data" / "s1")
    settings = SiteSettings(data=tmp_path / "data")
    *_, last = check_cases(kit, settings, config, NullReporter())
    assert last.message == "All 3 cases can be used."
    (tmp_path / "data/s0/images/case-1.nii.gz").write_bytes(b"broken")
    found = list(check_cases(kit, settings, config, NullReporter()))
    assert [each.verdict for each in found] == ["wrong"]
    assert "case-1" in found[0].message
    assert str(tmp_path) not in found[0].message


def test_a_configuration_without_this_hospital_is_wrong(kit: Kit, tmp_path: Path) -> None:
    config = load_config(write_federation(tmp_path / "data"))
    stranger = replace(kit, name="elsewhere")
    (found,) = check_cases(stranger, SiteSettings(data=tmp_path), config, NullReporter())
    assert found.message == "The configuration has no site elsewhere; it has s0, s1."


def test_a_hospital_can_agree_to_a_single_configuration(tmp_path: Path) -> None:
    config = load_config(write_federation(tmp_path / "data"))
    sha256 = config_sha256(config)
    agreed = SiteSettings(data=tmp_path, configuration=sha256)
    assert check_configuration(tmp_path, agreed, config).verdict == "good"
    any_accepted = check_configuration(tmp_path, SiteSettings(data=tmp_path), config)
    assert any_accepted.verdict == "note"
    assert any_accepted.message.endswith(f'local/site.toml: configuration = "{sha256}"')
    other = SiteSettings(data=tmp_path, configuration="0" * 64)
    found = check_configuration(tmp_path, other, config)
    assert found.verdict == "wrong"
    assert "0" * 64 in found.message
    assert sha256 in found.message


def test_an_empty_settings_file_ends_the_check_with_an_error(kit: Kit) -> None:
    (kit.path / "local" / "site.toml").write_text("", encoding="utf-8")
    *_, last = check_site(replace(kit, port=1), None, NullReporter(), datetime.now(UTC))
    assert last.verdict == "wrong"
    assert "data is missing" in last.message


def test_the_command_marks_errors_and_raises_an_error_at_the_end(
    folder: Path, kit: Kit, tmp_path: Path
) -> None:
    config = write_federation(tmp_path / "data")
    text = (kit.path / "local" / "site.toml").read_text(encoding="utf-8")
    text = text.replace("/path/to/the/data", str(tmp_path / "data"))
    (kit.path / "local" / "site.toml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["check", str(kit.path), "--config", str(config)])
    assert "WRONG   Connection:" in done.output  # there is no server
    assert "good    Cases: All 3 cases can be used." in done.output
    assert "s0 in the federation tiny" in done.output
    assert done.exit_code != 0
    assert "Correct everything marked WRONG" in str(done.exception)
