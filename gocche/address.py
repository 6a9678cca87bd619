"""Where a server listens: HOST:PORT, as it is typed and as this machine reaches it."""

from __future__ import annotations

from typing import NamedTuple

from gocche.words import Refused


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def near(self) -> Address:
        """The same server as this machine reaches it."""
        return Address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port)  # noqa: S104


def address(text: str) -> Address:
    """Return what HOST:PORT says; an IPv6 address may stand in brackets. Raises Refused."""
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 65_536):
        raise Refused("command", "not_an_address", text=repr(text))
    return Address(host.strip("[]"), int(port))
