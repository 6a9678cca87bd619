"""E-mail by SMTP (RFC 5321): accepted means that the server answered 250 to the end of the data.

A 4xx, a full mailbox, a day's limit, a refused login, an answer that is none or a server out of reach is tried again;
another 5xx to the recipient or the data is for good and costs only this message. One connection a message: alerts are
rare, and a connection kept open is one more thing to break. Port 465 is TLS from the first byte (RFC 8314).

A mail is plain text with one link, and that is all that is asked of its reader: what comes back to the sender's
mailbox, a delivery report (RFC 3464) too, is read by nobody here.
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
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal

import msgspec

from cloud.alerts.channels import ChannelConfig, GiveUp, Message, Retry
from cloud.alerts.tell.deadline import Deadline
from cloud.clock import hanoi

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

SUBMISSIONS = 465
# Said with 5xx and over tomorrow: mailbox full (552; RFC 3463 X.2.2) and a sender's limit of the day (X.4.5, X.7.28
# at large providers).
_PASSES = (" 5.2.2 ", " 5.4.5 ", " 5.7.28 ")


# Of the server and not of the message: it is closing (421), or wants another login (530, 534, 535, 538).
_OF_THE_SERVER = (421, 530, 534, 535, 538)
# It did not understand (500, 502 to 504): nobody can tell whether that is for good, or would meet every message.
_NOT_UNDERSTOOD = (500, 502, 503, 504)
MOST_SAID = 65_536  # bytes of one talk: a server that never ends its answer must not fill the memory


class CONFIG(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[channel]]` with kind = "email"; its addresses are those of the column `email` of people.csv."""

    kind: Annotated[Literal["email"], msgspec.Meta(description="which kind of channel")]
    host: Annotated[str, msgspec.Meta(description="SMTP server", min_length=1)]
    port: Annotated[int, msgspec.Meta(description="25, 465 (TLS from the first byte) or 587", ge=1, le=65_535)] = 25
    sender: Annotated[str, msgspec.Meta(description="address in From", pattern="^[^@ ]+@[^@ ]+$")] = "gocche@localhost"
    user: Annotated[str, msgspec.Meta(description="user name, where the server asks for one")] = ""
    password_file: Annotated[str, msgspec.Meta(description="file that holds the password, nothing else")] = ""
    starttls: Annotated[bool, msgspec.Meta(description="encrypt after connecting")] = True


class CHANNEL:
    """A mail server that relays for us."""

    def __init__(self, config: CONFIG) -> None:
        self._config = config
        self._domain = config.sender.rpartition("@")[2]  # also our EHLO name: asking DNS for our own would stall

    @property
    def deadline_s(self) -> float:
        """For the whole dialogue, of which RFC 5321 §4.5.3.2 would allow minutes a step."""
        return self._config.deadline_s

    def send(self, message: Message) -> None:
        """Hand the message to the server. Raises Retry or GiveUp."""
        mail = self._compose(message)
        with self._server() as server:
            try:
                server.sendmail(self._config.sender, [message.to], mail)
            except smtplib.SMTPRecipientsRefused as error:
                raise _judge(*error.recipients[message.to]) from error
            except smtplib.SMTPSenderRefused as error:
                raise Retry(f"sender {error.sender!r} refused: {_text(error.smtp_error)}", everybody=True) from error
            except smtplib.SMTPResponseException as error:
                raise _judge(error.smtp_code, error.smtp_error) from error
            except UnicodeError as error:
                raise GiveUp(f"the address cannot be written in SMTP: {error}") from error

    def check(self) -> None:
        """Connect, log in and ask for nothing. Raises Retry."""
        with self._server() as server:
            code, words = server.noop()
            if code != 250:
                raise Retry(f"{code} {_text(words)}", everybody=True)

    def _compose(self, message: Message) -> bytes:
        mail = EmailMessage(policy=policy.SMTP)
        try:
            mail["From"] = self._config.sender
            mail["To"] = message.to
            mail["Date"] = format_datetime(hanoi(message.at_ms))
            mail["Message-ID"] = f"<{message.id}@{self._domain}>"
            mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notes in return
            if message.level == "life":
                mail["Importance"] = "high"  # RFC 2156
            text = f"{message.text}\n———\n\n{message.more}" if message.more else message.text
            mail.set_content(text, cte="quoted-printable")
            return b"Subject: %s\r\n%s" % (_subject(message.subject), mail.as_bytes())
        except (ValueError, IndexError, UnicodeError) as error:  # the header parser's ways to refuse an address
            raise GiveUp(f"address or subject cannot be a mail header: {error}") from error

    @contextlib.contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        """Give a server that knows us, and let go of it; what breaks in between is a Retry for everybody."""
        config = self._config
        where = f"{config.host}:{config.port}"
        server: smtplib.SMTP | None = None
        with Deadline(config.deadline_s) as deadline:
            try:
                server = _Server(config, self._domain, deadline)
                if config.starttls and config.port != SUBMISSIONS:
                    server.starttls(context=ssl.create_default_context())
                server.ehlo_or_helo_if_needed()
                if config.user:
                    server.login(config.user, Path(config.password_file).read_text(encoding="utf-8").strip())
                yield server
            except (smtplib.SMTPException, OSError, UnicodeError) as error:
                late = f"no end of the talk within {config.deadline_s:g} s"
                raise Retry(f"{where}: {late if deadline.expired else error}", everybody=True) from error
            finally:
                if server is not None:
                    _leave(server)


class _Brief:
    """The answers of a server, up to `MOST_SAID` in all."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers, self._left = answers, MOST_SAID

    def readline(self, at_most: int) -> bytes:
        line = self._answers.readline(at_most)
        self._left -= len(line)
        if self._left < 0:
            raise OSError(f"it says more than {MOST_SAID} bytes")
        return line

    def close(self) -> None:
        self._answers.close()


class _Server(smtplib.SMTP):
    """A server that is reached, and listened to, within a deadline."""

    def __init__(self, config: CONFIG, own_name: str, deadline: Deadline) -> None:
        self._deadline = deadline
        super().__init__(config.host, config.port, own_name)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002 - its thread cuts it
        connection = self._deadline.connect(host, port)
        if port != SUBMISSIONS:
            return connection
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:  # made anew after STARTTLS
            self.file = _Brief(self.sock.makefile("rb"))
        return super().getreply()


def _judge(code: int, words: bytes | str) -> Retry | GiveUp:
    text = f"{code} {_text(words)}"
    if code in _OF_THE_SERVER:
        return Retry(text, everybody=True)
    for_good = 500 <= code < 600 and code not in (*_NOT_UNDERSTOOD, 552) and not any(mark in text for mark in _PASSES)
    return GiveUp(text) if for_good else Retry(text)  # what is no answer of RFC 5321 at all decides nothing, too


def _subject(text: str) -> bytes:
    """Return the subject by RFC 2047. The new email policy of Python 3.11 loses spaces where it folds such a line."""
    return Header(" ".join(text.split()), "utf-8", header_name="Subject").encode(linesep="\r\n").encode("ascii")


def _text(words: bytes | str) -> str:
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else words


def _leave(server: smtplib.SMTP) -> None:
    """Say goodbye and wait for no answer: the message was accepted or not by now, and the next one may be urgent."""
    with contextlib.suppress(smtplib.SMTPException, OSError):
        server.putcmd("quit")
    server.close()
