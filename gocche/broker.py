"""The embedded MQTT broker of `gocche up`: amqtt on a loopback address, for the one garden on this machine.

It is a pipe and nothing more. amqtt speaks MQTT 3.1.1 only, keeps nothing over a restart and forgets the sessions of
clients without a name at once; the contract asks no more of a broker (docs/protocol.md), because the edge keeps every
batch until the cloud says "stored". It has no passwords, therefore it listens on loopback only: a real installation
has Mosquitto with certificates.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import sys
from typing import TYPE_CHECKING

from gocche.words import Refused

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from amqtt.session import Session


def run(host: str, port: int, stop: threading.Event, listening: Callable[[int], None] | None = None) -> None:
    """Serve MQTT 3.1.1 on a loopback address until `stop` is set; port 0 takes any free one.

    `listening` is called once with the port when clients may connect. Raises Refused for an address that other
    machines can reach or that somebody else has.
    """
    _loopback_only(host)
    logging.getLogger("amqtt").setLevel(logging.ERROR)  # it warns of every client that is killed: daily bread here
    logging.getLogger("transitions").setLevel(logging.WARNING)
    asyncio.run(_serve(host, port, stop, listening or _say))


async def _serve(host: str, port: int, stop: threading.Event, listening: Callable[[int], None]) -> None:
    from amqtt.broker import Broker
    from amqtt.errors import BrokerError

    class OwnRetained(Broker):  # type: ignore[misc]  # amqtt has no types
        async def _publish_retained_messages_for_subscription(
            self, subscription: tuple[str, int], session: Session
        ) -> None:
            """Not for what others subscribe to: amqtt 0.12 gives that to whoever connects, asked for or not."""
            asked = self._subscriptions.get(subscription[0], ())
            if any(one.client_id == session.client_id for one, _ in asked):
                await super()._publish_retained_messages_for_subscription(subscription, session)

    broker = OwnRetained(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{_bracketed(host)}:{port}"}},
            # no $SYS, no packet log: only what lets clients in
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    try:
        await broker.start()
    except BrokerError as error:
        raise Refused("broker", "taken", host=host, port=port, why=error) from error
    listening(broker._servers["default"].instance.sockets[0].getsockname()[1])  # noqa: SLF001 - amqtt tells it nowhere
    try:
        await asyncio.to_thread(stop.wait)
    finally:
        await broker.shutdown()


def _say(port: int) -> None:
    print(f"broker listening port={port}", file=sys.stderr, flush=True)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _loopback_only(host: str) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise Refused("broker", "loopback", host=host)
