"""The HTTP proxy between a kit and the server, as gRPC chooses it, for the check of the connection.

gRPC asks the proxy by HTTP CONNECT for a connection to the server, and speaks TLS with the server
through it. Its rules are in its documentation of environment variables; only the lower-case names count.
"""

import os
import socket
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit

from fedcross.contract.plain_text import plain_text
from fedcross.federate.supervise.server_connection import UnreachableError

VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
EXCEPTIONS = ("no_grpc_proxy", "no_proxy")
DEFAULT_PORT = 443  # of a proxy without a port; gRPC's
LONGEST_ANSWER = 16 * 2**10


@dataclass(frozen=True)
class Proxy:
    """A proxy for HTTP CONNECT.

    Attributes
    ----------
    host, port
        Its host name or address, and its TCP port.
    login
        ``name:password`` for it; empty for none.
    """

    host: str
    port: int
    login: str = ""

    def __str__(self) -> str:
        """Its address, without the login."""
        return f"{self.host}:{self.port}"


def find_proxy(host: str, environment: Mapping[str, str] = os.environ) -> Proxy | None:
    """Find the proxy that gRPC uses for connections to `host`.

    Parameters
    ----------
    host
        Host name or address of the server.
    environment
        Environment variables.

    Returns
    -------
    Proxy or None
        None if no variable is set, the first one that is set has no address of the form ``http://...``,
        or `host` is one of the exceptions.
    """
    text = next((environment[name] for name in VARIABLES if name in environment), "")
    excepted = next((environment[name] for name in EXCEPTIONS if name in environment), "")
    if any(_matches(host, each.strip()) for each in excepted.split(",") if each.strip()):
        return None
    try:
        parts = urlsplit(text)
        if parts.scheme != "http" or not parts.hostname:
            return None
        login, _, _ = parts.netloc.rpartition("@")
        return Proxy(parts.hostname, parts.port or DEFAULT_PORT, unquote(login))
    except ValueError:
        return None


def connect_through(proxy: Proxy, host: str, port: int, timeout_s: float) -> socket.socket:
    """Let a proxy connect to a server.

    Parameters
    ----------
    proxy
        The proxy.
    host, port
        Host name or address of the server, and its TCP port.
    timeout_s
        Longest time of each step, in seconds.

    Returns
    -------
    socket.socket
        A connection; what is sent now reaches the server.

    Raises
    ------
    UnreachableError
        If the proxy does not answer, or refuses.
    """
    target = f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.login:
        lines.append(f"Proxy-Authorization: Basic {b64encode(proxy.login.encode()).decode()}")
    try:
        connection = socket.create_connection((proxy.host, proxy.port), timeout_s)
    except OSError as error:
        raise UnreachableError(
            f"The proxy {proxy} cannot be reached: {error.strerror or 'no answer'}.",
            f"Its address comes from the environment variables {', '.join(VARIABLES)}.",
        ) from error
    try:
        connection.sendall("\r\n".join((*lines, "", "")).encode("ascii"))
        status = _read_status(connection)
    except (OSError, UnicodeEncodeError) as error:
        connection.close()
        raise UnreachableError(
            f"The proxy {proxy} does not answer the request for {target}.",
            "Is it a proxy for HTTP that allows CONNECT?",
        ) from error
    words = status.split(" ", 2)
    if not (words[0].startswith("HTTP/1.") and words[1:2] == ["200"]):
        connection.close()
        raise _refusal(proxy, target, status)
    return connection


def _refusal(proxy: Proxy, target: str, status: str) -> UnreachableError:
    code = status.split(" ", 2)[1:2]
    if code == ["407"]:
        hint = "It wants a login: http://NAME:PASSWORD@HOST:PORT in the environment variable."
    elif code in (["502"], ["503"], ["504"]):
        hint = "The server may not run, or the proxy may not reach it."
    else:
        hint = f"Ask for CONNECT to {target} on the proxy; many proxies allow port 443 only."
    answer = plain_text(status[:80]) or "nothing"
    return UnreachableError(f"The proxy {proxy} refuses a connection to {target}: {answer}.", hint)


def _read_status(connection: socket.socket) -> str:
    """Read the head of the proxy's answer and return its first line; byte by byte, as TLS follows it."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < LONGEST_ANSWER:
        if not (byte := connection.recv(1)):
            break
        head += byte
    return head.split(b"\r\n", 1)[0].decode("ascii", errors="replace")


def _matches(host: str, exception: str) -> bool:
    """Whether an exception is the host, a domain that contains it, or a network with its address."""
    if f".{host}".lower().endswith("." + exception.removeprefix(".").lower()):
        return True
    try:
        return ip_address(host) in ip_network(exception, strict=False)
    except ValueError:
        return False
