"""Far ends for the uplink: a broker of a few lines that can be told to fall silent anywhere, and a small authority."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

CONNECT, PUBLISH, SUBSCRIBE, PING, DISCONNECT = 1, 3, 8, 12, 14


class Peer:
    """Speaks just enough MQTT 3.1.1 on a port of its own.

    It stays silent to the kinds of packets in `mute` and to a PUBLISH that ends in what it `forgets`, answers CONNECT
    with `welcome`, SUBSCRIBE with `grant`, says `greeting` instead of all that where there is one, closes a connection
    once it has subscribed if it `kicks`, and reads nothing where it is `full`. `heard` has (number of the connection,
    kind, body) of all packets.
    """

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None, **ways: object) -> None:
        self.mute: set[int] = set()
        self.welcome = self.grant = 0
        self.greeting = self.forgets = b""
        self.kicks = self.full = self.shuts = False
        for way, value in ways.items():
            setattr(self, way, value)
        self.heard: list[tuple[int, int, bytes]] = []
        self.connections: list[socket.socket] = []
        self._tls, self._stop, self._reads = tls, threading.Event(), threading.Event()
        self._reads.set()
        self._server = socket.create_server(("127.0.0.1", port))
        self._server.settimeout(0.05)
        self.port: int = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="peer")]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._threads[0].join(10)  # from now on nobody new comes in
        self._server.close()
        for sock in self.connections:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(10)

    def seen(self, kind: int, connection: int | None = None) -> list[bytes]:
        """Return the bodies of the packets of a kind."""
        return [body for number, one, body in self.heard if one == kind and connection in {None, number}]

    def tell(self, topic: str | bytes, payload: bytes, *, retained: bool = False) -> None:
        """Publish to the newest connection."""
        name = topic.encode() if isinstance(topic, str) else topic
        body = len(name).to_bytes(2, "big") + name + payload
        self.connections[-1].sendall(bytes((0x30 | retained,)) + _length(len(body)) + body)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Read nothing meanwhile."""
        self._reads.clear()
        yield
        self._reads.set()

    def cut(self) -> None:
        """Close the newest connection."""
        self.connections[-1].shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                sock, _ = self._server.accept()
                self.connections.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock, len(self.connections)), name="peer")
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with sock, contextlib.suppress(OSError):
            if self.full:
                self._stop.wait(60)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            if self.shuts:
                return
            with sock:
                for kind, body in _packets(sock):
                    self._reads.wait(60)
                    self.heard.append((number, kind, body))
                    if self.greeting:
                        sock.sendall(self.greeting)
                    elif kind not in self.mute and not (self.forgets and body.endswith(self.forgets)):
                        sock.sendall(self._answer(kind, body))
                    if kind == SUBSCRIBE and self.kicks:
                        return

    def _answer(self, kind: int, body: bytes) -> bytes:
        match kind:
            case 1:
                return bytes((0x20, 2, 0, self.welcome))
            case 3:
                end = 2 + int.from_bytes(body[:2], "big")
                return bytes((0x40, 2)) + body[end : end + 2]
            case 8:
                return bytes((0x90, 3)) + body[:2] + bytes((self.grant,))
            case 12:
                return b"\xd0\x00"
        return b""


def _length(size: int) -> bytes:
    """Return a length as MQTT writes it: seven bits a byte, the lowest first."""
    low, rest = size & 127, size >> 7
    return bytes((low | 128,)) + _length(rest) if rest else bytes((low,))


def _packets(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
    with sock.makefile("rb") as stream:
        while head := stream.read(1):
            size = shift = 0
            while True:
                byte = stream.read(1)[0]
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            yield head[0] >> 4, stream.read(size)


class Authority:
    """A certificate authority in a folder. Needs openssl."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self.ca_file = folder, folder / f"{name}-ca.pem"
        self._name = name
        self._run("req", "-x509", *self._key(f"{name}-ca"), "-out", self.ca_file, "-days", "10")

    def issue(self, name: str, alternative: str, *how: str) -> tuple[Path, Path]:
        """Return certificate and key for a name. `how` are more options of `openssl ca`."""
        here, config = self._folder / f"{self._name}-{name}", self._folder / "ca.cnf"
        config.write_text(
            f"[ca]\ndefault_ca = c\n[c]\ndatabase = {self._folder}/index\nnew_certs_dir = {self._folder}\n"
            "default_md = sha256\npolicy = p\nunique_subject = no\nrand_serial = yes\ndefault_days = 10\n"
            f"x509_extensions = e\n[p]\ncommonName = supplied\n[e]\nsubjectAltName = {alternative}\n"
        )
        (self._folder / "index").touch()
        self._run("req", *self._key(f"{self._name}-{name}", name), "-out", f"{here}.csr")
        signing = ("-cert", self.ca_file, "-keyfile", self._folder / f"{self._name}-ca.key")
        files = ("-config", config, "-in", f"{here}.csr", "-out", f"{here}.pem")
        self._run("ca", "-batch", "-notext", *signing, *files, *how)
        return here.with_suffix(".pem"), here.with_suffix(".key")

    def server(self, name: str, alternative: str, *how: str) -> ssl.SSLContext:
        """Return what a server with such a certificate shows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name, alternative, *how))
        return context

    def _key(self, file: str, name: str = "") -> tuple[str, ...]:
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        return (*curve, "-subj", f"/CN={name or file}", "-keyout", f"{self._folder / file}.key")

    def _run(self, *words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=30)
