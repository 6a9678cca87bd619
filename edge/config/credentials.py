"""How the gateway shows who it is: whether the files of `[broker]` are what they are taken for.

A certificate's last day is told, never enforced: a gateway in the field may not know the date.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from edge.config.finding import ConfigError, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.config.tables import Broker

GIVEN = "/run/credentials/"  # where systemd puts what only the service may read
SOON_DAYS = 60
_UNSET = b"unset"  # what the unit gives for a credential that is not there


def check(file: Path, broker: Broker, *, running: bool) -> None:
    """Read the files. What only the running service has is passed over unless `running`. Raises ConfigError."""
    for have, want in (("cert_file", "key_file"), ("key_file", "cert_file"), ("user", "password_file"),
                       ("password_file", "user")):  # fmt: skip
        if getattr(broker, have) and not getattr(broker, want):
            raise ConfigError(file, f"[broker] {want}", "half_a_pair", have=have)
    if broker.cert_file and not broker.ca_file:
        raise ConfigError(file, "[broker] ca_file", "no_authority")
    if broker.port == 8883 and not broker.ca_file:
        raise ConfigError(file, "[broker] port", "tls_port")
    contents = {
        field: _content(file, field, name)
        for field in ("password_file", "ca_file", "cert_file", "key_file")
        if (name := getattr(broker, field)) and (running or not later(name))
    }
    if "password_file" in contents:
        _password(file, broker.password_file, contents["password_file"])
    for field in ("ca_file", "cert_file"):
        if field in contents:
            _certificate(file, field, getattr(broker, field))
    if "cert_file" in contents and "key_file" in contents:
        _pair(file, broker)


def later(name: str) -> bool:
    """Tell whether this is a file that systemd gives to the service, and that is not there now."""
    return name.startswith(GIVEN) and not Path(name).exists()


def advice(file: Path, broker: Broker, now: datetime | None) -> Iterator[Finding]:
    """Yield what should be looked at: files to come, dates of certificates, a password in the open."""
    for field in ("password_file", "ca_file", "cert_file", "key_file"):
        name = getattr(broker, field)
        if name and later(name):
            yield Finding(file, f"[broker] {field}", "credential_later", {"value": name})
        elif name and now is not None and field in ("ca_file", "cert_file"):
            yield from _dates(file, field, name, now)
    if broker.password_file and not broker.ca_file and broker.host not in ("127.0.0.1", "::1", "localhost"):
        yield Finding(file, "[broker] ca_file", "password_in_the_open", {})


def _content(file: Path, field: str, name: str) -> bytes:
    place = f"[broker] {field}"
    if Path(name).exists() and not Path(name).is_file():
        raise ConfigError(file, place, "file_unreadable", value=name, why="it is not a file")
    try:
        content = Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(file, place, "file_unreadable", value=name, why=error.strerror) from error
    if name.startswith(GIVEN) and content.strip() == _UNSET:
        raise ConfigError(file, place, "credential_unset", value=name, name=Path(name).name)
    return content


def _password(file: Path, name: str, content: bytes) -> None:
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        _unusable(file, name, "it is not UTF-8 text")
    if not text:
        _unusable(file, name, "it is empty")
    if not text.isprintable():
        _unusable(file, name, "it has more than one line")


def _unusable(file: Path, name: str, why: str) -> NoReturn:
    raise ConfigError(file, "[broker] password_file", "password_unusable", value=name, why=why)


def _certificate(file: Path, field: str, name: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=name)
        validity(name)
    except (OSError, ValueError, IndexError) as error:  # SSLError is an OSError
        raise ConfigError(file, f"[broker] {field}", "no_certificate", value=name, why=_said(error)) from error


def _pair(file: Path, broker: Broker) -> None:
    asked: list[str] = []

    def nobody_types() -> str:
        asked.append("a pass phrase")
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(broker.cert_file, broker.key_file, nobody_types)
    except (OSError, ValueError) as error:
        mismatch = isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH"
        kind = "key_has_pass_phrase" if asked else "not_a_pair" if mismatch else "no_key"
        facts = {"value": broker.key_file, "other": broker.cert_file, "why": _said(error)}
        raise ConfigError(file, "[broker] key_file", kind, **facts) from error


def _said(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(reason).lower().replace("_", " ")


def _dates(file: Path, field: str, name: str, now: datetime) -> Iterator[Finding]:
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
