"""A hospital makes its private key itself; the coordinator signs its request into a kit without one."""

import os
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner, Result

from fedcross.cli import app
from fedcross.errors import ConfigError, OutputError
from fedcross.federate.kits.accept_kit import accept_kit
from fedcross.federate.kits.add_site import add_site
from fedcross.federate.kits.certificate_request import (
    KEY,
    fingerprint,
    key_fingerprint,
    make_request,
    read_request,
)
from fedcross.federate.kits.certificates import load_certificate, own_key_sites, read_validity
from fedcross.federate.kits.kit_checks import check_key
from fedcross.federate.kits.provision import init_federation
from fedcross.federate.kits.renew import renew_kit
from fedcross.federate.kits.startup_kit import open_kit
from kit_files import DUO, contents

RSA_2048 = rsa.generate_private_key(public_exponent=65537, key_size=2048)
LEAF = x509.BasicConstraints(ca=False, path_length=None)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def request_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital") / "request"
    make_request(folder, "north")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, request_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("federation") / "kits"
    init_federation(folder, DUO, {"north": read_request(request_folder / "north.csr").public_key})
    return folder


@pytest.fixture
def key(request_folder: Path, tmp_path: Path) -> Path:
    return shutil.copy(request_folder / KEY, tmp_path / KEY)


def test_neither_the_kit_nor_the_authority_has_a_private_key_of_the_hospital(made: Path) -> None:
    north = made / "sites" / "north"
    assert not open_kit(north).key.exists()
    assert all("PRIVATE KEY" not in data.decode() for data in contents(north).values())
    assert own_key_sites(made / "authority") == {"north"}
    assert open_kit(made / "sites" / "south").key.exists()
    own, others = contents(north), contents(made / "sites" / "south")
    assert set(others) - set(own) == {"startup/client.key"}


def test_the_certificate_is_for_the_requested_key_and_cannot_sign_others(
    made: Path, request_folder: Path
) -> None:
    own = load_certificate(open_kit(made / "sites" / "north").certificate)
    other = load_certificate(open_kit(made / "sites" / "south").certificate)
    assert own.public_key() == read_request(request_folder / "north.csr").public_key
    assert own.subject.rfc4514_string() == other.subject.rfc4514_string().replace("south", "north")
    assert own.extensions.get_extension_for_class(x509.BasicConstraints).value == LEAF
    own.verify_directly_issued_by(load_certificate(open_kit(made / "server").authority))
    assert 358 <= (own.not_valid_after_utc - datetime.now(UTC)).days <= 360


def test_key_and_kit_are_joined_and_the_key_is_moved(kits: Path, key: Path) -> None:
    secret = key.read_bytes()
    kit = open_kit(kits / "sites" / "north")
    assert "fedcross site accept north --key FILE" in check_key(kit).message
    done = run("site", "accept", kit.path, "--key", key)
    assert done.exit_code == 0, done.output
    authority = load_certificate(open_kit(kits / "server").authority)
    assert fingerprint(authority.public_bytes(Encoding.DER)) in done.output
    assert kit.key.read_bytes() == secret
    assert stat.S_IMODE(kit.key.stat().st_mode) == 0o600
    assert not key.exists()
    assert read_validity(kit).days_left(datetime.now(UTC)) in (359, 360)
    again = run("site", "accept", kit.path, "--key", kit.key)
    assert "has a private key already" in str(again.exception)
    assert kit.key.read_bytes() == secret


def write_key(path: Path, kind: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else RSA_2048
    encryption = BestAvailableEncryption(b"word") if kind == "locked" else NoEncryption()
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    path.write_bytes(b"no key" if kind == "text" else data)
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("another", "is not the key that the certificate of north was made for"),
        ("ec", "is not the key"),
        ("locked", "cannot be read"),
        ("text", "cannot be read"),
    ],
)
def test_a_key_that_does_not_belong_to_the_kit_is_refused_and_stays(
    kits: Path, tmp_path: Path, kind: str, words: str
) -> None:
    path = write_key(tmp_path / "other.key", kind)
    before = contents(kits)
    with pytest.raises(ConfigError, match=words):
        accept_kit(kits / "sites" / "north", path)
    assert path.exists()
    assert contents(kits) == before


def test_a_kit_whose_authority_was_exchanged_does_not_get_the_key(
    kits: Path, key: Path, tmp_path: Path
) -> None:
    init_federation(tmp_path / "other", DUO)
    north = kits / "sites" / "north"
    shutil.copy(open_kit(tmp_path / "other" / "server").authority, north / "startup" / "rootCA.pem")
    with pytest.raises(ConfigError, match="was not signed by the authority"):
        accept_kit(north, key)
    assert key.exists()
    assert not open_kit(north).key.exists()


@pytest.mark.parametrize("fails", ["unlink", "fsync"])
def test_a_key_that_cannot_be_moved_stays_where_it_is(
    kits: Path, key: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """On a medium that is read only, or a disk that fails."""
    real = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if fails == "unlink" and self == key:
            raise PermissionError(13, "Permission denied")
        real(self, missing_ok=missing_ok)

    def fsync(descriptor: int) -> None:
        if fails == "fsync" and stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")

    north = kits / "sites" / "north"
    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match=r"cannot be (moved into the kit|written)"):
        accept_kit(north, key)
    monkeypatch.undo()
    assert key.exists()
    assert not open_kit(north).key.exists()


def test_a_missing_key_file_is_one_sentence(kits: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.key is missing"):
        accept_kit(kits / "sites" / "north", tmp_path / "none.key")


def test_a_hospital_with_its_own_key_joins_and_is_renewed_while_others_change(
    kits: Path, tmp_path: Path
) -> None:
    first = make_request(tmp_path / "first", "east")
    done = run("federation", "add", kits, "east", "--request", tmp_path / "first" / "east.csr")
    assert done.exit_code == 0, done.output
    assert key_fingerprint(first) in done.output
    kit = accept_kit(kits / "sites" / "east", tmp_path / "first" / KEY)
    settings = contents(kit.path / "local")
    renew_kit(kits, "south")  # neither forgets nor needs the keys that the authority does not have
    add_site(kits, "west")
    assert own_key_sites(kits / "authority") == {"north", "east"}
    with pytest.raises(ConfigError, match="east made its private key itself"):
        renew_kit(kits, "east")
    second = make_request(tmp_path / "second", "east")
    renewed = run(
        "federation", "renew", kits, "east", "--request", tmp_path / "second" / "east.csr"
    )
    assert renewed.exit_code == 0, renewed.output
    assert "fedcross site accept" in " ".join(renewed.output.split())
    kit = accept_kit(kits / "sites" / "east", tmp_path / "second" / KEY)
    assert load_certificate(kit.certificate).public_key() == second != first
    assert contents(kit.path / "local") == settings
    read_validity(kit)


def test_a_hospital_can_change_to_a_key_of_its_own(kits: Path, tmp_path: Path) -> None:
    make_request(tmp_path / "request", "south")
    startup = renew_kit(kits, "south", read_request(tmp_path / "request" / "south.csr").public_key)
    assert not (startup / KEY).exists()
    assert own_key_sites(kits / "authority") == {"north", "south"}


def test_a_request_for_another_name_changes_nothing(kits: Path, request_folder: Path) -> None:
    before = contents(kits)
    for words in (("add", kits, "east"), ("renew", kits, "server"), ("renew", kits, "south")):
        done = run("federation", *words, "--request", request_folder / "north.csr")
        assert "The request is for the hospital north" in str(done.exception)
    assert contents(kits) == before


def test_init_refuses_requests_of_strangers_and_two_for_one_hospital(
    request_folder: Path, tmp_path: Path
) -> None:
    csr = request_folder / "north.csr"
    words = ("federation", "init", tmp_path / "kits", "--request", csr)
    assert "request for north, and the federation has south" in str(
        run(*words, "--sites", "south").exception
    )
    assert "Two requests" in str(run(*words, "--sites", "north", "--request", csr).exception)
    assert list(tmp_path.iterdir()) == []
    done = run(*words, "--sites", "north")
    assert done.exit_code == 0, done.output
    assert key_fingerprint(read_request(csr).public_key) in done.output


def test_an_interrupted_addition_is_completed_with_the_same_request_only(
    kits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    key = make_request(tmp_path / "request", "east")
    with monkeypatch.context() as patch:
        patch.setattr("fedcross.federate.kits.federation_folder.write_readme", fail)
        with pytest.raises(Exception, match="No space left"):
            add_site(kits, "east", key)
    with pytest.raises(ConfigError, match="Repeat it with --request"):
        add_site(kits, "east")
    accept_kit(add_site(kits, "east", key), tmp_path / "request" / KEY)


def test_a_request_of_openssl_with_other_parts_is_accepted_without_them(
    kits: Path, tmp_path: Path
) -> None:
    role = x509.NameAttribute(NameOID.UNSTRUCTURED_NAME, "project_admin")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "east"), role])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.add_extension(LEAF, True).add_extension(names, False)
    path = tmp_path / "east.csr"
    path.write_bytes(request.sign(RSA_2048, hashes.SHA256()).public_bytes(Encoding.PEM))
    kit = open_kit(add_site(kits, "east", read_request(path).public_key))
    own = load_certificate(kit.certificate)
    assert own.subject.rfc4514_string() == "O=fedcross,CN=east"
    found = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == ["east"]
