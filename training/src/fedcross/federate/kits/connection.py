"""Connects to the server with a kit's certificate; reports the first step that fails."""

import socket
import ssl

from fedcross.federate.kits.proxy import Proxy, connect_through, find_proxy
from fedcross.federate.kits.startup_kit import Kit
from fedcross.federate.supervise.server_connection import FederationError, UnreachableError

TIMEOUT_S = 10.0
# The first bytes of every HTTP/2 client, with an empty SETTINGS frame. A server answers with its own
# frame; if it does not accept the client's certificate, it closes the connection.
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])

# OpenSSL's numbers for the reasons why a certificate is not accepted.
NOT_YET_VALID, EXPIRED = 9, 10


class UntrustedError(FederationError):
    """Server and machine do not accept each other's certificates; waiting does not help."""


def check_connection(kit: Kit, timeout_s: float = TIMEOUT_S) -> str:
    """Connect to the server by mutual TLS and HTTP/2; return a sentence about the connection.

    It takes the way that FLARE takes, also through a proxy that the environment variables name.

    Parameters
    ----------
    kit
        The kit to connect with.
    timeout_s
        Longest time of each step, in seconds.

    Raises
    ------
    UnreachableError
        If the server does not answer: a sentence about the first step that failed, and a hint.
    UntrustedError
        If one side does not accept the other's certificate, or the kit's files cannot be used.
    """
    proxy = find_proxy(kit.host)
    way = "" if proxy is None else f" through the proxy {proxy}"
    server = f"{kit.host}, TCP port {kit.port}{way}"
    context = _tls_context(kit)
    with _connect(kit, server, proxy, timeout_s) as plain:
        try:
            secure = context.wrap_socket(plain, server_hostname=kit.host)
        except OSError as error:
            raise _explain_handshake(server, error) from error
        with secure:
            try:
                secure.sendall(HTTP2_PREFACE)
                answer = secure.recv(9)
            except OSError as error:
                raise _explain_refusal(server, error) from error
            if not answer:
                raise _explain_refusal(server, ConnectionResetError())
            version = secure.version()
    return f"{server} answers; both certificates are accepted ({version})."


def _explain_handshake(server: str, error: OSError) -> FederationError:
    """The error if this machine cannot agree on a connection, or does not accept the server."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_server_certificate(server, error)
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return UnreachableError(
            f"{server} closed the connection during the TLS handshake.",
            "The server may not use TLS, or a firewall interrupts the connection.",
        )
    if isinstance(error, ssl.SSLError):
        return _refusal(server, error)
    return _silence(server, error)


def _explain_refusal(server: str, error: OSError) -> FederationError:
    """The error after the handshake: the server looks at the kit's certificate only then."""
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)):
        return UntrustedError(
            f"{server} does not accept this kit's certificate: it closed the connection at once.",
            "Its certificate authority may not be the one that signed this kit: were new kits made "
            "for the federation?",
        )
    if isinstance(error, ssl.SSLError):
        return _refusal(server, error)
    return _silence(server, error)


def _refusal(server: str, error: ssl.SSLError) -> UntrustedError:
    return UntrustedError(
        f"{server} does not accept this kit's certificate, or does not use TLS: "
        f"{error.reason or error}.",
        "Ask the coordinator whether this kit is the right one.",
    )


def _silence(server: str, error: OSError) -> UnreachableError:
    return UnreachableError(
        f"{server} stopped answering: {error.strerror or 'timeout'}.",
        "A firewall may interrupt the connection.",
    )


def _explain_server_certificate(server: str, error: ssl.SSLCertVerificationError) -> UntrustedError:
    if error.verify_code in (EXPIRED, NOT_YET_VALID):
        state = "has expired" if error.verify_code == EXPIRED else "is not valid yet"
        return UntrustedError(
            f"The certificate of {server} {state}, by the clock of this machine.",
            "If the clock is right, the coordinator must give the server a new kit.",
        )
    return UntrustedError(
        f"The certificate of {server} is not that of the federation's server: "
        f"{error.verify_message}.",
        "Is this the kit of another federation? Or a proxy or firewall inspects encrypted "
        "connections: ask for an exception.",
    )


def _tls_context(kit: Kit) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(kit.authority)
        context.load_cert_chain(kit.certificate, kit.key)
    except OSError as error:
        if not kit.key.exists():
            raise UntrustedError(f"startup/{kit.key.name} is missing.") from error
        raise UntrustedError(
            "The kit's certificates cannot be read.", "Unpack the kit again."
        ) from error
    return context


def _connect(kit: Kit, server: str, proxy: Proxy | None, timeout_s: float) -> socket.socket:
    if proxy is not None:
        return connect_through(proxy, kit.host, kit.port, timeout_s)
    try:
        return socket.create_connection((kit.host, kit.port), timeout_s)
    except socket.gaierror as error:
        raise UnreachableError(
            f"The host name {kit.host} cannot be resolved on this machine.",
            "Ask for an entry in the hospital's DNS, or add it to the hosts file.",
        ) from error
    except ConnectionRefusedError as error:
        raise UnreachableError(
            f"Nothing listens at {server}.", "The server is not running, or uses another port."
        ) from error
    except OSError as error:
        raise UnreachableError(
            f"{server} cannot be reached: {error.strerror or 'no answer'}.",
            "Ask for outgoing TCP to it in the hospital's firewall.",
        ) from error
