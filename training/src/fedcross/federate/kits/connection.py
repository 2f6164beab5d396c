"""Can a kit reach its server? Name, port and mutual TLS, each with a sentence of its own."""

import socket
import ssl

from fedcross.federate.kits.startup_kit import Kit
from fedcross.federate.supervise.coordinator import UnreachableError

TIMEOUT_S = 10.0
# What every HTTP/2 client says first, and an empty SETTINGS frame: a server answers in kind, and one
# that does not accept the client's certificate hangs up instead.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def check_connection(kit: Kit, timeout_s: float = TIMEOUT_S) -> str:
    """Connect as the kit's owner; return a sentence about the connection.

    Raises
    ------
    UnreachableError
        One sentence about the first step that failed, and whom to ask.
    """
    where = f"{kit.host}, TCP port {kit.port}"
    context = _context(kit)
    with _connect(kit, where, timeout_s) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=kit.host) as secure:
                secure.sendall(PREFACE)
                if not secure.recv(9):
                    raise UnreachableError(
                        f"{where} hung up at once.",
                        "Its certificate authority may not know this kit: was the federation "
                        "provisioned anew?",
                    )
                version = secure.version()
        except ssl.SSLCertVerificationError as error:
            raise UnreachableError(
                f"What answers at {where} cannot prove to be the federation's server: "
                f"{error.verify_message}.",
                "Something in between may open encrypted connections (a proxy or firewall with "
                "inspection): ask for an exception, or the clock is wrong.",
            ) from error
        except ssl.SSLError as error:
            raise UnreachableError(
                f"{where} does not accept this kit's certificate, or speaks no TLS: "
                f"{error.reason or error}.",
                "Ask the coordinator whether the kit is the right one.",
            ) from error
        except OSError as error:
            raise UnreachableError(
                f"{where} stopped answering: {error.strerror or 'time ran out'}.",
                "A firewall may cut the connection.",
            ) from error
    return f"{where} answers, and both sides proved who they are ({version})."


def _context(kit: Kit) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(kit.authority)
        context.load_cert_chain(kit.certificate, kit.key)
    except OSError as error:
        raise UnreachableError(
            "The kit's certificates cannot be read.", "Unpack the kit again."
        ) from error
    return context


def _connect(kit: Kit, where: str, timeout_s: float) -> socket.socket:
    try:
        return socket.create_connection((kit.host, kit.port), timeout_s)
    except socket.gaierror as error:
        raise UnreachableError(
            f"The name {kit.host} is not known here.",
            "Ask for it in the hospital's DNS, or enter it in the hosts file.",
        ) from error
    except ConnectionRefusedError as error:
        raise UnreachableError(
            f"Nothing listens at {where}.", "The server is not running, or the port is another."
        ) from error
    except OSError as error:
        raise UnreachableError(
            f"{where} cannot be reached: {error.strerror or 'no answer'}.",
            "Ask for outgoing TCP to it in the hospital's firewall.",
        ) from error
