"""E-mail by SMTP (RFC 5321): accepted means that the server answered 250 to the end of the data.

A 5xx to the recipient or the data is for good and costs only this message; a 4xx, a refused login or a server out of
reach is tried again. One connection a message: alerts are rare, and a connection kept open is one more thing to break.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from email import policy
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Annotated

import msgspec

from cloud.alerts.channels import GiveUp, Message, Retry
from cloud.clock import hanoi

SUBMISSIONS = 465


class CONFIG(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[mail]` of cloud.toml; port 465 is TLS from the first byte (RFC 8314).

    `timeout_s` bounds every answer of the server, of which RFC 5321 §4.5.3.2 would allow minutes.
    """

    host: str
    sender: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 25
    user: str = ""
    password_file: str = ""
    starttls: bool = False
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=120)] = 10.0


class CHANNEL:
    """A mail server that relays for us."""

    def __init__(self, config: CONFIG) -> None:
        self._config = config
        self._domain = config.sender.rpartition("@")[2]  # also our EHLO name: asking DNS for our own would stall

    def send(self, message: Message) -> None:
        """Hand the message to the server. Raises Retry or GiveUp."""
        mail = self._compose(message)
        server = self._connect()
        try:
            server.sendmail(self._config.sender, [message.to], mail)
        except smtplib.SMTPRecipientsRefused as error:
            code, words = error.recipients[message.to]
            raise _judge(code, words, message.to) from error
        except smtplib.SMTPSenderRefused as error:
            raise Retry(f"sender {error.sender!r} refused: {_text(error.smtp_error)}", everybody=True) from error
        except smtplib.SMTPResponseException as error:
            raise _judge(error.smtp_code, error.smtp_error, message.to) from error
        except (smtplib.SMTPException, OSError) as error:
            raise Retry(f"connection lost: {error}", everybody=True) from error
        except UnicodeError as error:
            raise GiveUp(f"address {message.to!r} cannot be written in SMTP: {error}") from error
        finally:
            _leave(server)

    def _compose(self, message: Message) -> bytes:
        mail = EmailMessage(policy=policy.SMTP)
        try:
            mail["From"] = self._config.sender
            mail["To"] = message.to
            mail["Date"] = format_datetime(hanoi(message.at_ms))
            mail["Message-ID"] = f"<{message.id}@{self._domain}>"
            mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notes in return
            mail.set_content(message.text, cte="quoted-printable")
            return b"Subject: %s\r\n%s" % (_subject(message.subject), mail.as_bytes())
        except (ValueError, IndexError, UnicodeError) as error:  # the header parser's ways to refuse an address
            raise GiveUp(f"address {message.to!r} or subject cannot be a mail header: {error}") from error

    def _connect(self) -> smtplib.SMTP:
        config, server = self._config, None
        where = f"{config.host}:{config.port}"
        try:
            kind = smtplib.SMTP_SSL if config.port == SUBMISSIONS else smtplib.SMTP
            server = kind(config.host, config.port, self._domain, timeout=config.timeout_s)
            if config.starttls and config.port != SUBMISSIONS:
                server.starttls(context=ssl.create_default_context())
            server.ehlo_or_helo_if_needed()
            if config.user:
                server.login(config.user, Path(config.password_file).read_text(encoding="utf-8").strip())
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            if server is not None:
                server.close()
            raise Retry(f"{where}: {error}", everybody=True) from error
        return server


def _judge(code: int, words: bytes | str, to: str) -> Retry | GiveUp:
    text = f"{to}: {code} {_text(words)}"
    if code == 421:  # the service is closing: nobody gets through
        return Retry(text, everybody=True)
    return Retry(text) if 400 <= code < 500 else GiveUp(text)


def _subject(text: str) -> bytes:
    """Return the subject by RFC 2047. The new email policy of Python 3.11 loses spaces where it folds such a line."""
    return Header(" ".join(text.split()), "utf-8", header_name="Subject").encode(linesep="\r\n").encode("ascii")


def _text(words: bytes | str) -> str:
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else words


def _leave(server: smtplib.SMTP) -> None:
    """Say goodbye; the message was accepted or not by now, and a rude server does not change that."""
    with contextlib.suppress(smtplib.SMTPException, OSError):
        server.quit()
    server.close()
