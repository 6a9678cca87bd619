"""Who is at the other end and how we show who we are: whether hosts and files are what they are taken for.

A certificate's last day is told, never enforced: a gateway in the field may not know the date.
"""

from __future__ import annotations

import os
import re
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import urlsplit

import msgspec

from settings.finding import ConfigError, Finding, shown
from settings.words import because

if TYPE_CHECKING:
    from collections.abc import Iterator
    from urllib.parse import SplitResult

    from settings.finding import File

GIVEN = "/run/credentials/"  # where systemd puts what only the service may read
SOON_DAYS = 60
_NAME = re.compile(r"(?!-)[\w-]{1,63}(\.[\w-]{1,63})*\.?")
_UNSET = b"unset"  # what the unit gives for a credential that is not there


class Broker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `[broker]` of both sides says of the broker and of us."""

    host: Annotated[str, msgspec.Meta(description="name or address of the MQTT broker", min_length=1)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535, description="1883 plain, 8883 with TLS")] = 1883
    user: Annotated[str, msgspec.Meta(description="user name, where the broker asks for one")] = ""
    password_file: Annotated[str, msgspec.Meta(description="file that holds the password, nothing else")] = ""
    ca_file: Annotated[
        str, msgspec.Meta(description="certificate of the authority that signed the broker's; turns TLS on")
    ] = ""
    cert_file: Annotated[str, msgspec.Meta(description="our own certificate")] = ""
    key_file: Annotated[str, msgspec.Meta(description="our own private key")] = ""


def check(file: File, broker: Broker, *, running: bool, place: str = "[broker]") -> None:
    """Read the files. What only the running service has is passed over unless `running`. Raises ConfigError."""
    check_host(file, f"{place} host", broker.host)
    check_pair(file, place, broker, "cert_file", "key_file")
    check_pair(file, place, broker, "user", "password_file")
    if broker.cert_file and not broker.ca_file:
        raise ConfigError(file, f"{place} ca_file", "no_authority")
    if broker.port == 8883 and not broker.ca_file:
        raise ConfigError(file, f"{place} port", "tls_port")
    there = {
        field
        for field in ("ca_file", "cert_file", "key_file")
        if (name := getattr(broker, field)) and _content(file, f"{place} {field}", name, running=running) is not None
    }
    if broker.password_file:
        secret(file, f"{place} password_file", broker.password_file, running=running)
    for field in {"ca_file", "cert_file"} & there:
        _certificate(file, f"{place} {field}", getattr(broker, field))
    if {"cert_file", "key_file"} <= there:
        _pair(file, place, broker)


def check_pair(file: File, place: str, table: object, one: str, other: str) -> None:
    """Refuse one of two keys without the other. Raises ConfigError."""
    for have, want in ((one, other), (other, one)):
        if getattr(table, have) and not getattr(table, want):
            raise ConfigError(file, f"{place} {want}", "half_a_pair", have=have)


def check_host(file: File, place: str, host: str) -> None:
    """Refuse what no name service can be asked for: a URL, host and port in one, blanks. Raises ConfigError."""
    with suppress(ValueError):
        ip_address(host.partition("%")[0])
        return
    if host and (len(host) > 253 or not _NAME.fullmatch(host)):
        plain = host.rpartition("//")[2].rpartition("@")[2]
        better = re.search(r"(?<=\[)[^\]]+(?=\])|[\w-]+(\.[\w-]+)*", plain)
        raise ConfigError(file, place, "host", value=shown(host), better=better[0] if better else "mqtt.example.org")


def web_address(url: str) -> SplitResult | None:
    """Return the parts of an address that begins with http:// or https:// and names a host; None for any other."""
    with suppress(ValueError):  # half a bracket, a port beyond 65,535
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    return None


def secret(file: File, place: str, name: str, *, running: bool) -> str:
    """Return the password or token that a file holds: one line of text. Raises ConfigError.

    Empty for what only the running service has, unless `running`.
    """
    content = _content(file, place, name, running=running)
    if content is None:
        return ""
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        _unusable(file, place, name, "not_text")
    if not text or not text.isprintable():
        _unusable(file, place, name, "lines" if text else "empty")
    return text


def check_files(file: File, place: str, table: dict[str, Any], *, running: bool) -> None:
    """Read the files that a table names: `ca_file` is a certificate, any other a secret. Raises ConfigError."""
    for key, name in table.items():
        if key.endswith("_file") and key != "ca_file" and name:
            secret(file, f"{place} {key}", name, running=running)
        elif key == "ca_file" and name and _content(file, f"{place} {key}", name, running=running) is not None:
            _certificate(file, f"{place} {key}", name)


def later(name: str) -> bool:
    """Tell whether this is a file that systemd gives to the service, and that is not there now."""
    return name.startswith(GIVEN) and not os.access(name, os.R_OK)


def advice(file: File, broker: Broker, now: datetime | None) -> Iterator[Finding]:
    """Yield what should be looked at: files to come, dates of certificates, a password in the open."""
    for field in ("password_file", "ca_file", "cert_file", "key_file"):
        name = getattr(broker, field)
        if name and later(name):
            yield Finding(file, f"[broker] {field}", "credential_later", {"value": name})
        elif name and now is not None and field in ("ca_file", "cert_file"):
            yield from _dates(file, field, name, now)
    if broker.password_file and not broker.ca_file and broker.host not in ("127.0.0.1", "::1", "localhost"):
        yield Finding(file, "[broker] ca_file", "password_in_the_open", {})


def _content(file: File, place: str, name: str, *, running: bool) -> bytes | None:
    """Return what a file holds; None for what only the running service has, unless `running`. Raises ConfigError."""
    if later(name) and not running:
        return None
    try:
        if Path(name).exists() and not Path(name).is_file():
            raise ConfigError(file, place, "file_unreadable", value=name, **because("not_a_file"))
        content = Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(file, place, "file_unreadable", value=name, **because(error)) from error
    if name.startswith(GIVEN) and content.strip() == _UNSET:
        raise ConfigError(file, place, "credential_unset", value=name, name=Path(name).name)
    return content


def _unusable(file: File, place: str, name: str, why: str) -> NoReturn:
    raise ConfigError(file, place, "password_unusable", value=name, **because(why))


def _certificate(file: File, place: str, name: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=name)
        validity(name)
    except (OSError, ValueError, IndexError) as error:  # SSLError is an OSError
        raise ConfigError(file, place, "no_certificate", value=name, **because(error)) from error


def _pair(file: File, place: str, broker: Broker) -> None:
    asked: list[str] = []

    def nobody_types() -> str:
        asked.append("a pass phrase")
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(broker.cert_file, broker.key_file, nobody_types)
    except (OSError, ValueError) as error:
        mismatch = isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH"
        kind = "key_has_pass_phrase" if asked else "not_a_pair" if mismatch else "no_key"
        facts = {"value": broker.key_file, "other": broker.cert_file, **because(error)}
        raise ConfigError(file, f"{place} key_file", kind, **facts) from error


def _dates(file: File, field: str, name: str, now: datetime) -> Iterator[Finding]:
    begins, ends = validity(name)
    kind, date = "", ends
    if now < begins:
        kind, date = "certificate_begins", begins
    elif now >= ends:
        kind = "certificate_ended"
    elif (ends - now).days < SOON_DAYS:
        kind = "certificate_ends"
    if kind:
        yield Finding(file, f"[broker] {field}", kind, {"value": name, "date": f"{date:%Y-%m-%d}"})


def validity(name: str) -> tuple[datetime, datetime]:
    """Return from when to when the first certificate in a file is valid. Raises OSError, ValueError, IndexError.

    The standard library tells dates only of certificates of authorities, so the four elements before them are passed
    over here (X.690, RFC 5280 §4.1).
    """
    text = Path(name).read_text(encoding="ascii", errors="replace")
    begin, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
    der = ssl.PEM_cert_to_DER_cert(text[begin:end])
    at = _inside(der, _inside(der, 0))
    for _ in range(4 if der[at] == 0xA0 else 3):  # version, serial number, signature, issuer
        at = _after(der, at)
    first = _inside(der, at)
    return _date(der, first), _date(der, _after(der, first))


def _inside(der: bytes, at: int) -> int:
    return at + 2 + (der[at + 1] & 0x7F if der[at + 1] & 0x80 else 0)


def _after(der: bytes, at: int) -> int:
    begin = _inside(der, at)
    return begin + (int.from_bytes(der[at + 2 : begin]) if der[at + 1] & 0x80 else der[at + 1])


def _date(der: bytes, at: int) -> datetime:
    text = der[_inside(der, at) : _after(der, at)].decode("ascii")
    if der[at] == 0x17:  # UTCTime: two digits of the year, from 1950 to 2049
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
