"""A wrong kit, a wrong site name, a taken port: one sentence before anything is tried."""

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fedcross.cli import app
from fedcross.errors import ConfigError
from fedcross.federate.kits.preflight import check_start, open_coordinator_kit
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.roster import ROSTER, check_site_names
from fedcross.federate.kits.startup_kit import Kit, open_kit
from fedcross.federate.supervise.server_connection import UnreachableError
from fedcross.training.config.file import load_config
from kit_files import change_validity
from tiny_federation import write_federation

NOW = datetime.now(UTC)
YEAR, DAY = timedelta(days=365), timedelta(days=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("federation") / "kits"
    init_federation(folder, Federation("tiny", ("s0", "s1"), "localhost", free_port()))
    return folder


@pytest.fixture
def kit(kits: Path, tmp_path: Path) -> Kit:
    """A hospital's kit whose settings are complete."""
    settings = kits / "sites" / "s0" / "local" / "site.toml"
    settings.write_text(f'data = "{tmp_path}"\ndevice = "cpu"\n', encoding="utf-8")
    return open_kit(kits / "sites" / "s0")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_site_name_that_no_kit_has_is_an_error_of_the_commands(
    kits: Path, tmp_path: Path
) -> None:
    config = write_federation(tmp_path / "data", sites=3)
    plan = config.with_name("plan.toml")
    text = config.read_text(encoding="utf-8")
    assert "[engine]" not in text
    plan.write_text(f'{text}\n[engine]\nkind = "flare"\n', encoding="utf-8")
    for words in (
        ("federation", "submit", config, "--out", tmp_path / "run"),
        ("plan", plan, "--out", tmp_path / "made.toml"),
    ):
        done = run(*words, "--kit", kits / "admin")
        assert isinstance(done.exception, ConfigError)
        assert done.exception.message == (
            "There is no hospital 's2'; the federation has s0, s1."
        ), words
    assert not (tmp_path / "run").exists()


def test_every_unknown_site_is_named(kits: Path, tmp_path: Path) -> None:
    config = load_config(write_federation(tmp_path / "data", sites=4))
    with pytest.raises(ConfigError, match="no hospital 's2' and no hospital 's3'"):
        check_site_names(open_kit(kits / "admin"), config)


def test_a_kit_of_an_earlier_version_has_no_names_and_refuses_none(
    kits: Path, tmp_path: Path
) -> None:
    config = load_config(write_federation(tmp_path / "data", sites=4))
    (kits / "admin" / "local" / ROSTER).unlink()
    check_site_names(open_kit(kits / "admin"), config)


@pytest.mark.parametrize("text", ["{", "[]", '{"sites": "s0"}', '{"sites": [1]}', '{"names": []}'])
def test_a_damaged_list_of_names_is_one_sentence(kits: Path, tmp_path: Path, text: str) -> None:
    config = load_config(write_federation(tmp_path / "data", sites=2))
    (kits / "admin" / "local" / ROSTER).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"local/sites\.json .* is damaged"):
        check_site_names(open_kit(kits / "admin"), config)


@pytest.mark.parametrize(
    ("begins", "ends", "words"),
    [
        (NOW - DAY, NOW - DAY / 2, "This kit expired on"),
        (NOW + DAY, NOW + YEAR, "set the clock"),
    ],
)
def test_an_expired_or_not_yet_valid_kit_ends_every_command_at_once(
    kits: Path, kit: Kit, tmp_path: Path, begins: datetime, ends: datetime, words: str
) -> None:
    admin, server = open_kit(kits / "admin"), open_kit(kits / "server")
    for each in (admin, server, kit):
        change_validity(kits, each, begins, ends)
        if each.kind != "admin":
            done = run("federation", "start", each.path)
            assert words in str(done.exception), each.kind
    config = write_federation(tmp_path / "data", sites=2)
    done = run("federation", "submit", config, "--out", tmp_path / "run", "--kit", admin.path)
    assert words in str(done.exception)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=words):
        open_coordinator_kit(admin.path, print)


def test_sixty_days_before_the_end_the_commands_tell_it(kits: Path, kit: Kit) -> None:
    for each, remedy in (
        (kit, "ask the coordinator to renew it"),
        (open_kit(kits / "server"), "ask the coordinator to renew it"),
    ):
        lines: list[str] = []
        check_start(each, lines.append)
        assert not any("WARNING" in line for line in lines)
        change_validity(kits, each, NOW - YEAR, NOW + 59 * DAY)
        check_start(each, lines.append)
        (told,) = [line for line in lines if line.startswith("WARNING")]
        assert "58 days from now" in told or "59 days from now" in told
        assert remedy in told
    lines = []
    change_validity(kits, open_kit(kits / "admin"), NOW - YEAR, NOW + 59 * DAY)
    open_coordinator_kit(kits / "admin", lines.append, waits=True)
    assert "renew it with" in lines[0]


def test_a_certificate_of_another_authority_and_a_key_of_another_kit_are_refused(
    kits: Path, kit: Kit, tmp_path: Path
) -> None:
    init_federation(tmp_path / "other", Federation("tiny", ("s0",), "localhost", 18002))
    foreign = open_kit(tmp_path / "other" / "sites" / "s0")
    for name, words in (
        ("authority", "was not signed by the authority"),
        ("certificate", "was not signed by the authority"),
        ("key", "is not the private key of"),
    ):
        own = getattr(kit, name)
        kept = own.read_bytes()
        own.write_bytes(getattr(foreign, name).read_bytes())
        with pytest.raises(ConfigError, match=words):
            check_start(kit, print)
        own.write_bytes(b"-----BEGIN")
        with pytest.raises(ConfigError, match=r"cannot be read"):
            check_start(kit, print)
        own.write_bytes(kept)


def test_a_server_that_does_not_answer_is_waited_for_only_where_that_helps(
    kits: Path, kit: Kit
) -> None:
    lines: list[str] = []
    check_start(kit, lines.append)
    assert lines == [
        f"Nothing listens at localhost, TCP port {kit.port}. The server is not running, or uses "
        "another port. The hospital connects as soon as the server answers."
    ]
    with pytest.raises(UnreachableError, match="Nothing listens"):
        open_coordinator_kit(kits / "admin", print)
    open_coordinator_kit(kits / "admin", lines.append, waits=True)
    assert lines[1].endswith("Waiting for it.")


def test_a_server_whose_port_is_taken_does_not_start(kits: Path) -> None:
    server = open_kit(kits / "server")
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(ConfigError, match="does the server run already"),
    ):
        check_start(replace(server, port=listener.getsockname()[1]), print)


def test_a_hospital_with_a_wrong_privacy_policy_or_device_does_not_start(kit: Kit) -> None:
    settings = kit.path / "local" / "site.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("cpu", "cuda:99"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"local/site\.toml has cuda:99"):
        check_start(kit, print)
    settings.write_text(text, encoding="utf-8")
    (kit.path / "local" / "privacy.json").write_text("{")
    with pytest.raises(ConfigError, match=r"local/privacy\.json cannot be used"):
        check_start(kit, print)
