"""Startup kits by NVIDIA FLARE's own provisioning: certificates, keys, connection settings."""

import contextlib
import io
import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from nvflare.lighter.constants import CtxKey
from nvflare.lighter.prov_utils import prepare_builders
from nvflare.lighter.provision import prepare_project
from nvflare.lighter.provisioner import Provisioner
from nvflare.lighter.utils import Identity, generate_cert, serialize_cert

from fedcross.errors import ConfigError
from fedcross.federate.kits.certificates import STATE_FILE, own_key_sites

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

COMMON_NAME, ORGANIZATION = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME
STATE = "state"  # FLARE's folder of the certificate authority


class _ErrorLog:
    """A logger for FLARE that prints nothing and collects warnings and errors."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def debug(self, message: str) -> None:
        """Discard a message."""

    info = debug

    def warning(self, message: str) -> None:
        """Store a message in `errors`."""
        self.errors.append(message)

    error = warning


def make_kits(
    project: Mapping[str, Any],
    folder: Path,
    authority: Path | None = None,
    public_keys: Mapping[str, "RSAPublicKey"] = MappingProxyType({}),
) -> tuple[Path, Path]:
    """Make a kit for every participant of a FLARE project.

    Parameters
    ----------
    project
        A FLARE project (api_version 3).
    folder
        An existing folder; all files are made in it.
    authority
        Folder of an existing certificate authority; it is copied, not changed. Participants that it
        knows get the certificate and the key that they have; those whose key it does not have get no
        kit. None makes a new authority.
    public_keys
        Public keys of sites that made their private key themselves, by name. Their kits contain a
        certificate for it and no private key.

    Returns
    -------
    tuple of Path
        Folder with one kit folder for each participant, by its name, and folder of the certificate
        authority.

    Raises
    ------
    ConfigError
        If FLARE refuses the project.
    """
    log = _ErrorLog()
    copy = json.loads(json.dumps(project))  # FLARE changes the entries while it reads them
    state = folder / str(project["name"]) / STATE
    if authority is not None:
        shutil.copytree(authority, state)
        _forget(state / STATE_FILE, public_keys)
        left_out = own_key_sites(state)
        copy["participants"] = [
            each for each in copy["participants"] if each["name"] not in left_out
        ]
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # FLARE prints tracebacks
            context = Provisioner(str(folder), prepare_builders(copy)).provision(
                prepare_project(copy), logger=log
            )
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"NVIDIA FLARE refuses the federation: {error}.") from error
    if context.get(CtxKey.BUILD_ERROR):
        raise ConfigError(f"NVIDIA FLARE refuses the federation: {' '.join(log.errors)}")
    kits = Path(context[CtxKey.CURRENT_PROD_DIR])
    for name, public_key in public_keys.items():
        _replace_certificate(kits / name / "startup", state / STATE_FILE, name, public_key)
    return kits, state


def _forget(state_file: Path, names: Collection[str]) -> None:
    """Remove participants from a copy of the authority: FLARE makes them anew."""
    state = json.loads(state_file.read_text(encoding="utf-8"))
    kept = {name: entry for name, entry in state.items() if name not in names}
    state_file.write_text(json.dumps(kept), encoding="utf-8")


def _replace_certificate(
    startup: Path, state_file: Path, name: str, public_key: "RSAPublicKey"
) -> None:
    """Sign a site's own public key, in place of the key pair that FLARE has made for it."""
    state = json.loads(state_file.read_text(encoding="utf-8"))
    made = x509.load_pem_x509_certificate((startup / "client.crt").read_bytes())
    signed = generate_cert(
        subject=Identity(name, made.subject.get_attributes_for_oid(ORGANIZATION)[0].value),
        issuer=Identity(made.issuer.get_attributes_for_oid(COMMON_NAME)[0].value),
        signing_pri_key=load_pem_private_key(state["root_pri_key"].encode("ascii"), password=None),
        subject_pub_key=public_key,
        not_valid_before=made.not_valid_before_utc,
        not_valid_after=made.not_valid_after_utc,
        extra_extensions=[(x509.BasicConstraints(ca=False, path_length=None), True)],
    )
    (startup / "client.key").unlink()
    (startup / "client.crt").write_bytes(serialize_cert(signed))
    state[name] = {"cert": serialize_cert(signed).decode("ascii")}
    state_file.write_text(json.dumps(state), encoding="utf-8")
