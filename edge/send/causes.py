"""Why there is no connection, in words a person can act on: what the system said → one row of causes.toml.

Pure. The words are data: Vietnamese and English, and what to do, for the log, the status and `gocche status`.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import tomllib
from functools import cache
from pathlib import Path

import msgspec

_REFUSALS = {1: "protocol", 2: "id", 3: "busy", 4: "password", 5: "not-allowed"}  # CONNACK of MQTT 3.1.1
_REFUSALS |= {0x84: "protocol", 0x85: "id", 0x86: "password", 0x87: "not-allowed", 0x88: "busy", 0x89: "busy"}
_NO_WAY = {
    errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN,
    errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENODEV,
}  # fmt: skip
_BY_NUMBER = dict.fromkeys(_NO_WAY, "network") | {
    errno.ECONNREFUSED: "refused",
    errno.ETIMEDOUT: "timeout",
    errno.ECONNRESET: "closed",
    errno.EPIPE: "closed",
}
_SHORT = dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN), "machine")
_BY_NUMBER |= _SHORT
_BY_VERDICT = {9: "tls-early", 10: "tls-expired", 62: "tls-host", 64: "tls-host"} | dict.fromkeys(
    (2, 18, 19, 20, 21), "tls-authority"
)  # X509_V_ERR_… of OpenSSL
_OURS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")  # TLS alerts about what we showed


class Words(msgspec.Struct, frozen=True):
    """One cause: what it is called, and what to do."""

    vi: str
    en: str
    do_vi: str
    do_en: str


class Ended(Exception):
    """There is no connection (any more). `code` is a row of causes.toml, `detail` what the system said."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail

    @property
    def why(self) -> str:
        """The cause and what to do, in English."""
        return said(self.code, self.detail, "en")


@cache
def table() -> dict[str, Words]:
    """Return all causes."""
    return msgspec.convert(tomllib.loads(Path(__file__).with_name("causes.toml").read_text("utf-8")), dict[str, Words])


def said(code: str, detail: str, language: str) -> str:
    """Return a cause, what the system said, and what to do, in "vi" or "en"."""
    words = table()[code]
    name, remedy = (words.vi, words.do_vi) if language == "vi" else (words.en, words.do_en)
    return f"{name}{f' ({detail})' if detail else ''}; {remedy}"


def shortage(error: Exception) -> Ended | None:
    """Return what this machine has no more of, None where what was raised tells of something else."""
    if isinstance(error, MemoryError):
        return Ended("machine", os.strerror(errno.ENOMEM))
    return of(error) if isinstance(error, OSError) and error.errno in _SHORT else None


def no_way(error: OSError) -> bool:
    """Tell whether an address failed on this machine already, which says nothing of the broker."""
    return error.errno in _NO_WAY


def refusal(code: int) -> str:
    """Return the cause behind a CONNACK, of MQTT 3.1.1 or as MQTT 5 numbers it."""
    return _REFUSALS.get(code, "other")


def of(error: OSError | ValueError) -> Ended:
    """Return the cause behind what was raised while a connection was made."""
    match error:
        case socket.gaierror():
            code = "name" if error.errno in {socket.EAI_NONAME, socket.EAI_NODATA} else "dns"
        case UnicodeError():  # a name with an empty or overlong part
            code = "name"
        case ssl.SSLCertVerificationError():
            return Ended(_BY_VERDICT.get(error.verify_code, "tls"), error.verify_message)
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            code = "tls-none"
        case ssl.SSLError():
            return of_alert(str(error)) or Ended("tls", str(error))
        case TimeoutError():
            code = "timeout"
        case OSError():
            code = _BY_NUMBER.get(error.errno or 0, "other")
        case _:
            code = "other"
    return Ended(code, getattr(error, "strerror", None) or str(error))


def of_alert(text: str) -> Ended | None:
    """Return the cause that OpenSSL's words tell, None where they are none of it."""
    if "[SSL" not in text:
        return None
    if "_ALERT_" in text and any(word in text for word in _OURS):
        return Ended("tls-certificate", text)
    if any(word in text for word in ("WRONG_VERSION_NUMBER", "RECORD_LAYER", "HTTP_REQUEST", "UNEXPECTED_EOF")):
        return Ended("tls-none", text)
    return Ended("tls", text)
