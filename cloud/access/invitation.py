"""What a telephone is told: the set-up of the Network Survey app, as the QR symbol that the app scans.

Read in the app's source: it takes these fields from the symbol, publishes each stream as JSON at QoS 1 under the
prefix, and takes `mqtt_client` as it stands for its MQTT client id. Two telephones with one symbol would put each
other out of the broker for ever, so each has its own account and its own symbol.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from cloud.access import NotInvited
from wire import topics

if TYPE_CHECKING:
    import segno

    from cloud.access.book import Secret
    from cloud.config import Coverage

ERRORS = "m"  # 15 % of a symbol that is printed large and scanned at once


@dataclass(frozen=True)
class Invitation:
    """One telephone's way in. Its set-up holds the password, so nothing prints it by accident."""

    user: str
    team: str  # its name
    until_ms: int
    setup: str = field(repr=False)

    @property
    def symbol(self) -> segno.QRCode:
        """The QR symbol that the app scans."""
        import segno  # noqa: PLC0415 - of the labels' libraries, which a server may lack

        return segno.make(self.setup, error=ERRORS, micro=False)

    def svg(self) -> str:
        """Return the symbol to be put into a page, with the light around it; its name is the page's to say."""
        out = io.BytesIO()
        self.symbol.save(out, kind="svg", border=4, scale=4, xmldecl=False, svgns=True, omitsize=True, light="#fff")
        return out.getvalue().decode().replace("<svg ", '<svg aria-hidden="true" ', 1)

    def terminal(self) -> str:
        """Return the symbol as characters, dark on light."""
        out = io.StringIO()
        self.symbol.terminal(out, border=4, compact=True)
        return out.getvalue()


def invitation(secret: Secret, team: str, way: Coverage) -> Invitation:
    """Return what a new account's telephone scans. `team` is its name. Raises NotInvited without a way in."""
    if not way.phone_host:
        raise NotInvited("no_host")
    account = secret.account
    told = {
        "mqtt_host": way.phone_host,
        "mqtt_port": way.phone_port,
        "mqtt_tls": way.phone_tls,
        "mqtt_client": account.user,
        "mqtt_username": account.user,
        "mqtt_password": secret.password,
        "mqtt_topic_prefix": topics.phones_prefix(account.user),
        "mqtt_qos": 1,
        "cellular_stream_enabled": True,
        "wifi_stream_enabled": False,
        "bluetooth_stream_enabled": False,
        "gnss_stream_enabled": True,
        "device_status_stream_enabled": True,
        "phone_state_stream_enabled": True,  # of newer versions: what tells that there is no service
    }
    return Invitation(account.user, team, account.until_ms, msgspec.json.encode(told).decode())
