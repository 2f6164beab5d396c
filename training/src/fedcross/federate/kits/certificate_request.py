"""Certificate requests: a hospital makes its own private key, and the authority signs the public one.

A request is a PKCS #10 file with the hospital's name and its public key. It holds no secret. Other parts
of it are ignored: the certificate is built from the name and the public key only.
"""

import errno
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from fedcross.contract.plain_text import plain_text
from fedcross.errors import ConfigError
from fedcross.federate.kits.federation_folder import write_private
from fedcross.federate.kits.provision import SITE_PATTERN
from fedcross.runtime.files.atomic import atomic_folder
from fedcross.runtime.files.whole_file import read_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import CertificateSigningRequest

KEY = "client.key"  # the name that the key has in a kit, too
KEY_BITS = 2048  # FLARE encrypts its messages for keys of this length only
MAX_BYTES = 16 * 2**10
HINT = "The hospital makes a request with fedcross site request NAME --out FOLDER."


@dataclass(frozen=True)
class CertificateRequest:
    """A request that can be signed.

    Attributes
    ----------
    name
        The hospital's name.
    public_key
        Its public key, RSA of 2048 bits.
    """

    name: str
    public_key: "RSAPublicKey"


def make_request(folder: Path, name: str) -> "RSAPublicKey":
    """Make a private key and a request for it; after an error there is no folder.

    Parameters
    ----------
    folder
        Folder to make, for its owner only: ``client.key`` with mode 0600, and ``<name>.csr``.
    name
        The hospital's name, as in the training configuration.

    Returns
    -------
    RSAPublicKey
        The public key in the request.

    Raises
    ------
    ConfigError
        If the name cannot be used, or the folder exists.
    OutputError
        If the folder cannot be written.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    if not SITE_PATTERN.fullmatch(name):
        raise ConfigError(
            "The name must consist of letters, digits, hyphens and underscores, at most 63 of them, "
            f"got {plain_text(name[:80])!r}."
        )
    if folder.exists():
        raise ConfigError(f"{folder} exists already. A key is never replaced; choose a new folder.")
    key = generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    with atomic_folder(folder, replace=False, durable=True) as made:
        made.chmod(0o700)
        write_private(made / KEY, secret)
        signed = request.sign(key, hashes.SHA256())
        (made / f"{name}.csr").write_bytes(signed.public_bytes(Encoding.PEM))
    return key.public_key()


def read_request(path: Path) -> CertificateRequest:
    """Read and check a request.

    Parameters
    ----------
    path
        A PEM file of at most 16 KiB.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no request or a damaged one, names no hospital, has a key of
        another kind than RSA with 2048 bits, or asks for the certificate of an authority.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509 import (
        DuplicateExtension,
        InvalidVersion,
        UnsupportedGeneralNameType,
        load_pem_x509_csr,
    )

    try:
        data = read_file(path, MAX_BYTES)
    except OSError as error:
        if error.errno == errno.EFBIG:
            sentence = f"The request {path.name} is larger than {MAX_BYTES // 2**10} KiB."
            raise ConfigError(sentence, HINT) from error
        raise ConfigError(f"The request {path} cannot be read: {error.strerror}.") from error
    try:
        request = load_pem_x509_csr(data)
        public_key = _check_key(path, request)
        name = _common_name(path, request)
        _refuse_authority(path, request)
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        InvalidVersion,
        DuplicateExtension,
        UnsupportedGeneralNameType,
    ) as error:
        raise ConfigError(f"{path.name} is not a certificate request in PEM form.", HINT) from error
    return CertificateRequest(name, public_key)


def require_name(request: CertificateRequest, name: str) -> None:
    """Raise ConfigError if a request is not for the hospital `name`."""
    if request.name != name:
        raise ConfigError(
            f"The request is for the hospital {request.name}, and the command for {plain_text(name)}.",
            "Name the hospital as the request does, or ask for another request.",
        )


def fingerprint(public_bytes: bytes) -> str:
    """The SHA-256 of a key or certificate in DER form: 16 groups of four hexadecimal digits."""
    digits = sha256(public_bytes).hexdigest()
    return " ".join(digits[start : start + 4] for start in range(0, 64, 4))


def key_fingerprint(public_key: "RSAPublicKey") -> str:
    """The fingerprint of a public key, for two persons to compare."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return fingerprint(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _check_key(path: Path, request: "CertificateSigningRequest") -> "RSAPublicKey":
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    key, algorithm = request.public_key(), request.signature_hash_algorithm
    if not isinstance(key, RSAPublicKey):
        raise ConfigError(
            f"The request {path.name} has a key that is not RSA; it must be RSA with {KEY_BITS} bits.",
            HINT,
        )
    if key.key_size != KEY_BITS or key.public_numbers().e != 65537:
        raise ConfigError(
            f"The request {path.name} has an RSA key of {key.key_size} bits with exponent "
            f"{str(key.public_numbers().e)[:20]}; NVIDIA FLARE needs {KEY_BITS} bits with 65537.",
            HINT,
        )
    if algorithm is None or algorithm.digest_size < 32:
        name = "no hash" if algorithm is None else algorithm.name
        raise ConfigError(f"The request {path.name} is signed with {name}, not with SHA-256.", HINT)
    if not request.is_signature_valid:
        raise ConfigError(
            f"The request {path.name} is damaged: its signature is not that of its key.", HINT
        )
    return key


def _common_name(path: Path, request: "CertificateSigningRequest") -> str:
    from cryptography.x509.oid import NameOID

    names = [
        str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ]
    if len(names) != 1 or not SITE_PATTERN.fullmatch(names[0]):
        found = ", ".join(repr(plain_text(each[:80])) for each in names[:3]) or "none"
        raise ConfigError(
            f"The common name in the request {path.name} must be the name of one hospital, of letters, "
            f"digits, hyphens and underscores, got {found}.",
            HINT,
        )
    return names[0]


def _refuse_authority(path: Path, request: "CertificateSigningRequest") -> None:
    from cryptography.x509 import BasicConstraints, KeyUsage

    for extension in request.extensions:
        value = extension.value
        if (isinstance(value, BasicConstraints) and value.ca) or (
            isinstance(value, KeyUsage) and (value.key_cert_sign or value.crl_sign)
        ):
            raise ConfigError(
                f"The request {path.name} asks for the certificate of an authority, which could sign "
                "others; only a participant's certificate is signed.",
                HINT,
            )
