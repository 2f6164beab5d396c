"""Kits for tests: certificates of any age, and the absolute paths in the files of a kit."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from fedcross.federate.kits.federation_folder import LOCK
from fedcross.federate.kits.provision import Federation
from fedcross.federate.kits.startup_kit import Kit

# An absolute path of at least two parts; not a part of a URL, of a relative path or of base64.
ABSOLUTE = re.compile(r"(?<![\w.:/+=~-])/[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+")
PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
PLACEHOLDERS = {"/path/to/the/data", "/path/to/a/cache", "/etc/systemd/system/fedcross.service"}

DUO = Federation("tiny", ("north", "south"), "localhost", 18002)


def contents(folder: Path) -> dict[str, bytes]:
    """Relative path to content of all files in the folder of a federation, without that of the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LOCK
    }


def change_validity(kits: Path, kit: Kit, begins: datetime, ends: datetime) -> None:
    """Sign a kit's certificate again with the authority in `kits`, valid in another time."""
    state = json.loads((kits / "authority" / "cert.json").read_text(encoding="utf-8"))
    signer = serialization.load_pem_private_key(state["root_pri_key"].encode(), password=None)
    old = x509.load_pem_x509_certificate(kit.certificate.read_bytes())
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.sign(signer, hashes.SHA256())
    kit.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))


def absolute_paths(folder: Path) -> Iterator[tuple[str, str]]:
    """Every absolute path in the files of a folder, with the file; but for the placeholders."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            text = PEM.sub("", path.read_text(encoding="utf-8").replace("\\n", "\n"))
            for found in ABSOLUTE.findall(text):
                if found not in PLACEHOLDERS:
                    yield str(path.relative_to(folder)), found
