"""Relays between a hospital and the server: a TCP forwarder, and a proxy for HTTP CONNECT."""

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"


@dataclass
class Relay:
    """A relay that runs.

    Attributes
    ----------
    port
        TCP port that it listens at.
    targets
        Host and port of every connection that it relayed, and the server name (SNI) in its first bytes;
        in the order of their beginning.
    requests
        Number of connections that it received.
    """

    port: int
    requests: int = 0
    targets: list[tuple[str, int, str]] = field(default_factory=list)


@contextmanager
def tcp_forwarder(target_port: int) -> Iterator[Relay]:
    """Forward every connection to a port of this machine, unchanged."""
    with _relay(lambda client: ("127.0.0.1", target_port)) as relay:
        yield relay


@contextmanager
def connect_proxy(*, login: str = "", status: str = "") -> Iterator[Relay]:
    """Serve HTTP CONNECT requests.

    Parameters
    ----------
    login
        Name and password, as ``name:password``, that a request must have; empty for none.
    status
        Refuse every request with this status, such as ``403 Forbidden``; empty to serve them.
    """
    wanted = b"Basic " + base64.b64encode(login.encode())

    def answer(client: socket.socket) -> tuple[str, int] | None:
        head = b""
        while HEAD_END not in head:
            if not (data := client.recv(4096)):
                return None
            head += data
        method, target, _ = head.split(b" ", 2)
        assert method == b"CONNECT"
        if status or (login and wanted not in head):
            refusal = status or "407 Proxy Authentication Required"
            client.sendall(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n".encode())
            return None
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        host, _, port = target.decode().rpartition(":")
        return host, int(port)

    with _relay(answer) as relay:
        yield relay


@contextmanager
def _relay(answer: Callable[[socket.socket], tuple[str, int] | None]) -> Iterator[Relay]:
    """Yield a relay; `answer` reads a request and returns where it goes, None for nowhere."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = Relay(int(listener.getsockname()[1]))
        sockets: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                relay.requests += 1
                sockets.append(client)
                threading.Thread(target=handle, args=(client,), daemon=True).start()

        def handle(client: socket.socket) -> None:
            with client, suppress(OSError):
                if (target := answer(client)) is None:
                    return
                with socket.create_connection(target) as server:
                    sockets.append(server)
                    first = client.recv(65536)
                    relay.targets.append((*target, server_name(first)))
                    server.sendall(first)
                    back = threading.Thread(target=pump, args=(server, client), daemon=True)
                    back.start()
                    pump(client, server)
                    back.join()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield relay
        finally:
            for each in (listener, *sockets):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy bytes until one side ends."""
    with suppress(OSError):
        while data := source.recv(2**16):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def server_name(hello: bytes) -> str:
    """The server name (SNI) in a TLS ClientHello, as RFC 8446 and RFC 6066 lay it out; empty if none."""
    try:
        at = 5 + 4 + 2 + 32  # record, handshake, version, random
        at += 1 + hello[at]  # session
        at += 2 + int.from_bytes(hello[at : at + 2])  # ciphers
        at += 1 + hello[at]  # compression
        end = at + 2 + int.from_bytes(hello[at : at + 2])
        at += 2
        while at < end:
            kind, size = (int.from_bytes(hello[at + i : at + i + 2]) for i in (0, 2))
            if kind == 0:
                length = int.from_bytes(hello[at + 7 : at + 9])
                return hello[at + 9 : at + 9 + length].decode("ascii")
            at += 4 + size
    except (IndexError, UnicodeDecodeError):
        return ""
    return ""
