"""The certificates of a kit: until when they are valid, and whether they belong together."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fedcross.contract.parse import parse_json
from fedcross.errors import ConfigError
from fedcross.federate.kits.startup_kit import Kit

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
    from cryptography.x509 import Certificate

DAY = "%d %B %Y"
MINUTE = "%d %B %Y %H:%M UTC"
EXPIRES_SOON = timedelta(days=60)
STATE_FILE = "cert.json"  # FLARE's file of an authority: all its certificates and private keys


@dataclass(frozen=True)
class Validity:
    """The time in which a kit can be used.

    Attributes
    ----------
    begins, ends
        First and last moment, with a time zone.
    """

    begins: datetime
    ends: datetime

    def days_left(self, now: datetime) -> int:
        """Number of whole days from `now` to the end; negative after it."""
        return (self.ends - now).days

    def ends_soon(self, now: datetime) -> bool:
        """Whether the last 60 days have begun."""
        return self.ends - now < EXPIRES_SOON


def read_validity(kit: Kit) -> Validity:
    """Read when a kit's own certificate and that of its authority are both valid.

    Raises
    ------
    ConfigError
        If a file cannot be read, the authority did not sign the certificate, or the private key is that
        of another certificate.
    """
    from cryptography.exceptions import InvalidSignature

    own, authority = load_certificate(kit.certificate), load_certificate(kit.authority)
    try:
        own.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise ConfigError(
            f"startup/{kit.certificate.name} was not signed by the authority in "
            f"startup/{kit.authority.name}.",
            "Files of two federations are mixed: unpack the kit again.",
        ) from error
    if own.public_key() != load_key(kit.key).public_key():
        raise ConfigError(
            f"startup/{kit.key.name} is not the private key of startup/{kit.certificate.name}.",
            "Files of two kits are mixed: unpack the kit again.",
        )
    return Validity(
        max(own.not_valid_before_utc, authority.not_valid_before_utc),
        min(own.not_valid_after_utc, authority.not_valid_after_utc),
    )


def read_ends(authority: Path) -> tuple[datetime, datetime]:
    """Read when an authority ends, and when the first of all its certificates ends.

    Parameters
    ----------
    authority
        The folder ``authority`` of a federation.

    Raises
    ------
    ConfigError
        If its file is damaged.
    """
    from cryptography import x509

    try:
        state = parse_json((authority / STATE_FILE).read_text(encoding="utf-8"))
        texts = [state["root_cert"]]
        texts += [each["cert"] for each in state.values() if isinstance(each, dict)]
        ends = [x509.load_pem_x509_certificate(text.encode()).not_valid_after_utc for text in texts]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(f"{STATE_FILE} of the federation's authority is damaged.") from error
    return ends[0], min(ends)


def own_key_sites(authority: Path) -> frozenset[str]:
    """Names of the hospitals whose private key the authority does not have: they made it themselves.

    Raises
    ------
    ConfigError
        If the authority's file is damaged.
    """
    try:
        state = parse_json((authority / STATE_FILE).read_text(encoding="utf-8"))
        entries = [(name, each) for name, each in state.items() if isinstance(each, dict)]
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"{STATE_FILE} of the federation's authority is damaged.") from error
    return frozenset(name for name, each in entries if "cert" in each and "pri_key" not in each)


def load_certificate(path: Path) -> "Certificate":
    """Read a certificate of a kit, a PEM file; raise ConfigError if it cannot be read."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"startup/{path.name} cannot be read.", "Unpack the kit again."
        ) from error


def load_key(
    path: Path, title: str = "", hint: str = "Unpack the kit again."
) -> "CertificateIssuerPrivateKeyTypes":
    """Read a private key, a PEM file without a password.

    Parameters
    ----------
    path
        The file.
    title
        What the error message names; ``startup/`` and the file's name if empty.
    hint
        What the error message advises.

    Raises
    ------
    ConfigError
        If the file cannot be read, has a password, or is no private key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise ConfigError(f"{title or f'startup/{path.name}'} is missing.") from error
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{title or f'startup/{path.name}'} cannot be read.", hint) from error
    return cast("CertificateIssuerPrivateKeyTypes", key)
