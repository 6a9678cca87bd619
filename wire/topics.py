"""The topics of docs/protocol.md, built and parsed here and nowhere else."""

from __future__ import annotations

import re

ROOT = "gocche"
PREFIX = f"{ROOT}/v1"
GATEWAY = re.compile(r"[a-z0-9-]{3,32}")  # also keeps MQTT's + # / out of topics (CVE-2017-7650)
CHANNEL = re.compile(r"[a-z0-9-]{1,32}")
KINDS = ("up", "ack", "status", "beat")
ALL_UP = f"{PREFIX}/+/up"
ALL_STATUS = f"{PREFIX}/+/status"
ALL_BEATS = f"{PREFIX}/+/beat"
FROM_GATEWAYS = (ALL_UP, ALL_STATUS, ALL_BEATS)
MOUNT = "survey/"  # the broker puts it before whatever the listener for telephones hears (mount_point)
SURVEY = f"{MOUNT}v1"
USER = GATEWAY  # the account of a telephone
STREAMS = tuple(f"{one}_message" for one in ("gsm", "umts", "lte", "nr", "gnss", "device_status"))
FROM_PHONES = f"{SURVEY}/+/+"


def shared(group: str) -> tuple[str, ...]:
    """Return what one of several ingesters of a group subscribes to: each batch goes to one, every status to all.

    A beat is joined to the whole status before it, and the broker keeps nothing for a shared subscription.
    """
    return (f"$share/{group}/{ALL_UP}", ALL_STATUS, ALL_BEATS) if group else FROM_GATEWAYS


def up(gateway: str) -> str:
    """Batches and gap records of a gateway, QoS 1."""
    return f"{PREFIX}/{gateway}/up"


def ack(gateway: str) -> str:
    """Acknowledgements to a gateway, QoS 0."""
    return f"{PREFIX}/{gateway}/ack"


def status(gateway: str) -> str:
    """Birth, changes, clean stop and last will of a gateway; QoS 1, retained, JSON."""
    return f"{PREFIX}/{gateway}/status"


def beat(gateway: str) -> str:
    """That a gateway lives, each minute between two statuses; QoS 1, never retained."""
    return f"{PREFIX}/{gateway}/beat"


def parse(topic: str) -> tuple[str, str]:
    """Return (gateway, kind). Raises ValueError for a topic that is none of ours."""
    match topic.split("/"):
        case ["gocche", "v1", gateway, kind] if GATEWAY.fullmatch(gateway) and kind in KINDS:
            return gateway, kind
    raise ValueError(f"topic {topic[:120]!r} is not {PREFIX}/<gateway>/({'|'.join(KINDS)})")


def phones_prefix(user: str) -> str:
    """What the app of a telephone puts before the names of its streams: the broker adds `MOUNT`."""
    return phone(user, "").removeprefix(MOUNT)


def phone(user: str, stream: str) -> str:
    """What a telephone tells on one of its `STREAMS`; QoS 1, JSON."""
    return f"{SURVEY}/{user}/{stream}"


def parse_phone(topic: str) -> tuple[str, str]:
    """Return (user, stream), be it one that we do not take. Raises ValueError for a topic that no telephone has."""
    match topic.split("/"):
        case ["survey", "v1", user, stream] if USER.fullmatch(user):
            return user, stream
    raise ValueError(f"topic {topic[:120]!r} is not {SURVEY}/<user>/<stream>")
