import json
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fedcross.errors import ConfigError
from fedcross.federate.kits import provision
from fedcross.federate.kits.add_site import add_site
from fedcross.federate.kits.certificates import read_validity
from fedcross.federate.kits.hardening import set_storage_paths
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.renew import renew_kit
from fedcross.federate.kits.site_settings import load_site_settings
from fedcross.federate.kits.startup_kit import open_kit
from kit_files import absolute_paths

TRIO = Federation("prostate", ("north", "south", "east"), "localhost", 18002)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("federation") / "kits"
    init_federation(folder, TRIO)
    return folder


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_participant_has_a_kit_with_the_servers_address(made: Path) -> None:
    server = open_kit(made / "server", "server")
    assert (server.name, server.federation) == ("localhost", "prostate")
    for name in TRIO.sites:
        kit = open_kit(made / "sites" / name, "site")
        assert (kit.name, kit.host, kit.port) == (name, "localhost", 18002)
    assert open_kit(made / "admin", "admin").federation == "prostate"
    assert sorted(path.name for path in made.iterdir()) == [
        "README.txt",
        "admin",
        "authority",
        "project.yml",
        "server",
        "sites",
    ]


def test_only_the_owner_can_read_the_files(made: Path) -> None:
    for path in (made, *made.rglob("*")):
        allowed = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == allowed, path


def test_only_the_owner_can_enter_the_folder_while_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []

    def record(made: Path, federation: Federation, keys: object) -> None:
        modes.append(stat.S_IMODE(made.stat().st_mode))

    monkeypatch.setattr(provision, "_write_kits", record)
    init_federation(tmp_path / "kits", Federation("x", ("a",), "localhost", 18002))
    assert modes == [0o700]


def test_no_kit_contains_the_authoritys_key(made: Path) -> None:
    authority = read(made / "authority" / "cert.json")["root_pri_key"]
    assert "PRIVATE KEY" in authority
    secret = authority.splitlines()[1]
    for path in (*(made / "server").rglob("*"), *(made / "sites").rglob("*")):
        assert path.is_dir() or secret not in path.read_text(encoding="utf-8")


def test_each_kits_certificate_is_signed_by_the_federations_authority(made: Path) -> None:
    for path in (made / "server", made / "admin", made / "sites" / "north"):
        kit = open_kit(path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(kit.certificate, kit.key)
        context.load_verify_locations(kit.authority)
        checked = subprocess.run(
            ["openssl", "verify", "-CAfile", kit.authority, kit.certificate],
            capture_output=True,
            text=True,
        )
        assert checked.returncode == 0, checked.stderr


def test_jobs_cannot_bring_code_and_the_coordinator_cannot_read_files(made: Path) -> None:
    for kit in (made / "server", made / "sites" / "north"):
        policy = read(kit / "local" / "authorization.json")["permissions"]
        assert list(policy) == ["project_admin"]
        assert policy["project_admin"]["byoc"] == "none"
        assert policy["project_admin"]["shell_commands"] == "none"
        resources = read(kit / "local" / "resources.json")
        assert resources["class_list_enforcement_mode"] == "enforce"
        assert resources["class_allow_list"][0] == "fedcross.federate."
        assert not any(
            "stream" in each["id"] or "log" in each["id"] for each in resources["components"]
        )
    assert (
        read(made / "sites" / "north" / "local" / "resources.json")["allow_log_streaming"] is False
    )


def test_jobs_and_snapshots_are_stored_in_the_servers_kit_also_after_a_move(
    made: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    moved.joinpath("local").mkdir(parents=True)
    resources = made / "server" / "local" / "resources.json"
    (moved / "local" / "resources.json").write_bytes(resources.read_bytes())
    set_storage_paths(moved)
    text = (moved / "local" / "resources.json").read_text(encoding="utf-8")
    assert "/tmp/nvflare" not in resources.read_text(encoding="utf-8")
    assert text.count(str(moved / "storage")) == 2


def test_the_readme_lists_the_owner_of_every_folder(made: Path) -> None:
    text = (made / "README.txt").read_text(encoding="utf-8")
    assert "sites/north" in text
    assert "never leaves this machine" in text
    assert "TCP port 18002" in text


def test_the_readme_says_until_when_the_kits_are_valid(made: Path) -> None:
    text = (made / "README.txt").read_text(encoding="utf-8")
    ends = read_validity(open_kit(made / "sites" / "north")).ends
    assert f"All kits are valid until {ends:%d %B %Y}." in text
    assert 358 <= read_validity(open_kit(made / "admin")).days_left(datetime.now(UTC)) <= 360


def test_no_file_tells_where_by_whom_and_on_which_machine_the_kits_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, host = "unusual-user-name", "unusual-host-name"
    for variable in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(variable, user)
    monkeypatch.setenv("HOME", f"/home/{user}")
    for name in ("socket.gethostname", "socket.getfqdn", "platform.node"):
        monkeypatch.setattr(name, lambda *arguments: host)
    folder = tmp_path / user / "kits"
    folder.parent.mkdir()
    init_federation(folder, TRIO)
    assert list(absolute_paths(folder)) == []
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert user not in text, path
            assert host not in text, path
            assert str(tmp_path) not in text, path


def test_the_scan_for_absolute_paths_finds_them(tmp_path: Path) -> None:
    text = 'see https://a.org/b/c\nlocal/site.toml\n"/path/to/the/data" "/tmp/x/.partial-1"'
    (tmp_path / "file.json").write_text(text, encoding="utf-8")
    assert list(absolute_paths(tmp_path)) == [("file.json", "/tmp/x/.partial-1")]
    (tmp_path / "file.json").write_text('{"root": "/var/lib"}', encoding="utf-8")
    assert list(absolute_paths(tmp_path)) == [("file.json", "/var/lib")]


def test_a_hospitals_settings_file_is_valid_and_lists_the_receivers_of_its_models(
    made: Path,
) -> None:
    settings = load_site_settings(made / "sites" / "north")
    assert settings.share == ("loss", "validation", "cases", "data", "calibration", "profile")
    assert settings.device == "auto"
    assert "south, east" in (made / "sites/north/local/site.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('data = "here"', "absolute"),
        ('data = "/d"\nshare = ["weights"]', "share"),
        ('data = "/d"\ndevise = "cpu"', "did you mean device"),
        ("", "data is missing"),
        ("data = ", "not valid TOML"),
        ('data = "/d\xff"', "is not UTF-8: byte 11 is 0xff"),
    ],
)
def test_the_error_for_invalid_settings_names_the_reason(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "site.toml").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=words):
        load_site_settings(tmp_path)


@pytest.mark.parametrize(
    ("federation", "words"),
    [
        (Federation("x", ("a", "a"), "localhost", 8002), "different names"),
        (Federation("x", ("a", "A"), "localhost", 8002), "only in upper and lower case"),
        (Federation("x", (), "localhost", 8002), "none"),
        (Federation("x", ("Saint Mary",), "localhost", 8002), "Saint Mary"),
        (Federation("x", ("../up",), "localhost", 8002), "up"),
        (Federation("x", ("a",), "local host", 8002), "server"),
        (Federation("x", ("a",), "h" * 64, 8002), "at most 63"),
        (Federation("x", ("a",), "256.1.1.1", 8002), "256.1.1.1 is no IPv4 address"),
        (Federation("x", ("a",), "localhost", 0), "1 and 65535"),
        (Federation("x", ("a",), "localhost", 443, 65536), "got 65536"),
        (Federation("x", ("hub",), "hub", 8002), "name of the server"),
        (Federation("x", ("a", "server"), "hub", 8002), "cannot have the name server"),
        (Federation("x", ("admin",), "hub", 8002), "cannot have the name admin"),
    ],
)
def test_an_invalid_federation_is_refused_and_leaves_no_files(
    tmp_path: Path, federation: Federation, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        init_federation(tmp_path / "kits", federation)
    assert list(tmp_path.iterdir()) == []


def test_the_server_can_listen_at_another_port_than_the_one_in_the_kits(tmp_path: Path) -> None:
    kits = tmp_path / "kits"
    init_federation(kits, Federation("x", ("a",), "fl.example.org", 443, 8002))
    for place, port in (("server", 8002), ("sites/a", 443), ("admin", 443)):
        kit = open_kit(kits / place)
        assert (kit.host, kit.port) == ("fl.example.org", port)
    before = (kits / "server/startup/fed_server.json").read_bytes()
    (server,) = json.loads(before)["servers"]
    assert (server["service"]["target"], server["admin_port"]) == ("fl.example.org:8002", 8002)
    assert '"8002:8002"' in (kits / "server/startup/compose.yaml").read_text(encoding="utf-8")
    renew_kit(kits, "server")
    add_site(kits, "b")
    assert (kits / "server/startup/fed_server.json").read_bytes() == before
    assert open_kit(kits / "sites" / "b").port == 443


def test_kits_are_never_replaced(made: Path) -> None:
    before = (made / "authority" / "cert.json").read_bytes()
    with pytest.raises(ConfigError, match="exists already"):
        init_federation(made, TRIO)
    assert (made / "authority" / "cert.json").read_bytes() == before


def test_an_error_while_kits_are_made_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(kit: Path, name: str, sites: object) -> None:
        raise ConfigError("broken")

    monkeypatch.setattr("fedcross.federate.kits.provision.configure_site_kit", fail)
    with pytest.raises(ConfigError, match="broken"):
        init_federation(tmp_path / "kits", TRIO)
    assert list(tmp_path.iterdir()) == []


def test_a_kit_of_another_kind_and_a_folder_that_is_no_kit_are_refused(
    made: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigError, match="kit of a hospital; this command needs the kit of the coordinator"
    ):
        open_kit(made / "sites" / "north", "admin")
    with pytest.raises(ConfigError, match="not a startup kit"):
        open_kit(tmp_path)
    (tmp_path / "startup").mkdir()
    (tmp_path / "startup" / "fed_client.json").write_text('{"servers": []}', encoding="utf-8")
    with pytest.raises(ConfigError, match="damaged"):
        open_kit(tmp_path)


def test_making_kits_prints_nothing(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from fedcross.federate.kits.provision import Federation, init_federation\n"
        f"init_federation(Path({str(tmp_path / 'k')!r}), Federation('x', ('a',), '127.0.0.1', 8002))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
