"""A certificate request is made, read and checked."""

import random
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from fedcross.errors import ConfigError
from fedcross.federate.kits.certificate_request import (
    KEY,
    make_request,
    read_request,
)

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "north")])
LEAF = x509.BasicConstraints(ca=False, path_length=None)
AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)
NO_USAGE = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)
SIGNS_CERTIFICATES = x509.KeyUsage(**{**NO_USAGE, "key_cert_sign": True})
RSA_2048 = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def write_csr(path: Path, key: object, subject: x509.Name = NAME, *extensions: object) -> Path:
    """Write a request that is signed with `key`."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    path.write_bytes(builder.sign(key, algorithm).public_bytes(Encoding.PEM))
    return path


@pytest.fixture(scope="module")
def request_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital") / "request"
    make_request(folder, "north")
    return folder


def test_a_request_is_readable_by_openssl_and_only_its_owner_can_read_the_key(
    request_folder: Path,
) -> None:
    assert stat.S_IMODE(request_folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((request_folder / KEY).stat().st_mode) == 0o600
    assert sorted(path.name for path in request_folder.iterdir()) == ["client.key", "north.csr"]
    shown = subprocess.run(
        ["openssl", "req", "-in", request_folder / "north.csr", "-noout", "-verify", "-subject"],
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    assert "CN = north" in shown.stdout.replace("CN=north", "CN = north")
    assert "PRIVATE" not in (request_folder / "north.csr").read_text(encoding="ascii")


def test_a_request_replaces_nothing_and_needs_the_name_of_a_hospital(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        make_request(tmp_path / "used", "north")
    with pytest.raises(ConfigError, match="got 'Saint Mary'"):
        make_request(tmp_path / "new", "Saint Mary")
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (rsa.generate_private_key(public_exponent=65537, key_size=1024), "RSA key of 1024 bits"),
        (rsa.generate_private_key(public_exponent=65537, key_size=3072), "RSA key of 3072 bits"),
        (rsa.generate_private_key(public_exponent=3, key_size=2048), "exponent 3;"),
        (ec.generate_private_key(ec.SECP256R1()), "not RSA"),
        (ed25519.Ed25519PrivateKey.generate(), "not RSA"),
    ],
    ids=["short", "long", "exponent", "ec", "ed25519"],
)
def test_a_key_that_is_weak_or_of_another_kind_is_refused(
    tmp_path: Path, key: object, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        read_request(write_csr(tmp_path / "north.csr", key))


@pytest.mark.parametrize("extension", [AUTHORITY, SIGNS_CERTIFICATES], ids=["ca", "usage"])
def test_a_request_for_the_certificate_of_an_authority_is_refused(
    tmp_path: Path, extension: object
) -> None:
    path = write_csr(tmp_path / "north.csr", RSA_2048, NAME, extension)
    with pytest.raises(ConfigError, match="asks for the certificate of an authority"):
        read_request(path)


@pytest.mark.parametrize(
    "names", [(), ("../up",), ("Saint Mary",), ("north", "south"), ("n" * 64,), ("a\x1b[2J",)]
)
def test_a_request_without_the_name_of_one_hospital_is_refused(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    with pytest.raises(ConfigError, match="must be the name of one hospital") as found:
        read_request(write_csr(tmp_path / "x.csr", RSA_2048, subject))
    assert "\x1b" not in str(found.value)


def test_a_file_that_is_missing_too_large_or_no_request_is_one_sentence(
    tmp_path: Path, request_folder: Path
) -> None:
    good = (request_folder / "north.csr").read_bytes()
    path = tmp_path / "north.csr"
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_request(path)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_request(tmp_path)
    path.write_bytes(good + b"#" * 16 * 2**10)
    with pytest.raises(ConfigError, match="larger than 16 KiB"):
        read_request(path)
    certificate = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    for data in (b"", b"\xff\x00", certificate, (request_folder / KEY).read_bytes(), good[:300]):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match="is not a certificate request in PEM form"):
            read_request(path)


def test_a_request_whose_key_was_exchanged_is_refused(tmp_path: Path) -> None:
    from base64 import b64decode, b64encode

    path = write_csr(tmp_path / "north.csr", RSA_2048)
    lines = path.read_text(encoding="ascii").splitlines()
    body = bytearray(b64decode("".join(lines[1:-1])))
    body[-1] ^= 1  # in the signature
    lines[1:-1] = [b64encode(body).decode("ascii")]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    with pytest.raises(ConfigError, match="its signature is not that of its key"):
        read_request(path)


def test_every_changed_request_is_refused_or_has_the_same_content(
    tmp_path: Path, request_folder: Path
) -> None:
    from base64 import b64decode, b64encode

    draw = random.Random(7)
    good = read_request(request_folder / "north.csr")
    text = (request_folder / "north.csr").read_text(encoding="ascii").splitlines()
    body = b64decode("".join(text[1:-1]))
    accepted = 0
    for number in range(400):
        changed = bytearray(body)
        for _ in range(draw.randint(1, 3)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        path = tmp_path / f"{number}.csr"
        pem = "\n".join((text[0], b64encode(changed).decode("ascii"), text[-1]))
        path.write_text(pem, encoding="ascii")
        try:
            read = read_request(path)
        except ConfigError:
            continue
        accepted += 1
        assert (read.name, read.public_key) == (good.name, good.public_key)
    assert accepted < 20


def test_the_command_line_refuses_a_bad_request_with_exit_code_2(tmp_path: Path) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    path = write_csr(tmp_path / "north.csr", weak)
    words = ("init", tmp_path / "kits", "--sites", "north", "--request", path)
    done = subprocess.run(
        [sys.executable, "-m", "fedcross", "federation", *map(str, words)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    (sentence,) = done.stderr.splitlines()
    assert "RSA key of 1024 bits" in sentence
    assert not (tmp_path / "kits").exists()


def test_the_key_of_a_request_is_a_key_that_flare_can_use(request_folder: Path) -> None:
    key = load_pem_private_key((request_folder / KEY).read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert (key.key_size, key.public_key().public_numbers().e) == (2048, 65537)
