"""Joins the private key that a hospital made with the kit that was made from its request."""

from pathlib import Path

from fedcross.errors import ConfigError, FedCrossError, OutputError
from fedcross.federate.kits.certificate_request import fingerprint
from fedcross.federate.kits.certificates import load_certificate, load_key, read_validity
from fedcross.federate.kits.federation_folder import write_private
from fedcross.federate.kits.startup_kit import Kit, open_kit
from fedcross.runtime.files.partial import remove_quietly


def accept_kit(path: Path, key: Path) -> Kit:
    """Move a private key into a kit that has none; after an error both stay as they are.

    Parameters
    ----------
    path
        Folder of the hospital's kit.
    key
        The private key that ``fedcross site request`` made, without a password.

    Returns
    -------
    Kit
        The kit, whose ``startup/client.key`` only its owner can read.

    Raises
    ------
    ConfigError
        If the folder is not a hospital's kit or has a key already, or the key cannot be read, or is not
        the one that the kit's certificate was made for.
    OutputError
        If the kit cannot be written, or the key cannot be removed from its old place.
    """
    kit = open_kit(path, "site")
    if kit.key.exists():
        raise ConfigError(
            f"{path} has a private key already, startup/{kit.key.name}.",
            "A kit that is renewed gets the folder startup from the coordinator first.",
        )
    own = load_key(key, str(key), "Name the key file that fedcross site request made.")
    if own.public_key() != load_certificate(kit.certificate).public_key():
        raise ConfigError(
            f"{key} is not the key that the certificate of {kit.name} was made for.",
            "Take the key of the request that the coordinator signed, or send a new request.",
        )
    try:
        write_private(kit.key, key.read_bytes())
        read_validity(kit)
        key.unlink()
    except OSError as error:
        remove_quietly(kit.key)
        raise OutputError(
            f"{key} cannot be moved into the kit: it cannot be removed: {error.strerror}.",
            "Give a copy in a folder of your own, and delete the other key yourself.",
        ) from error
    except FedCrossError:
        remove_quietly(kit.key)
        raise
    return kit


def authority_fingerprint(certificate: Path) -> str:
    """The fingerprint of an authority's certificate (PEM), for hospital and coordinator to compare."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return fingerprint(load_certificate(certificate).public_bytes(Encoding.DER))
