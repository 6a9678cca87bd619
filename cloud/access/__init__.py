"""Who may speak to the broker: the book of accounts, and the one writer of Mosquitto's passwords and access list.

Gateways and rooms show certificates, so only their rights are written here. Teams of hamlets have accounts with
passwords, one for each telephone. Another kind of account is a row of `mosquitto.RIGHTS` and a way to make one.
"""

from __future__ import annotations

from typing import Any

from settings.words import Refused


class NotInvited(Refused, ValueError):
    """No telephone can be invited so: words.toml says why and what to do."""

    def __init__(self, name: str, **facts: Any) -> None:
        super().__init__("cloud.access", "invite", name, **facts)
