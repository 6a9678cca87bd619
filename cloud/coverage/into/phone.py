"""The door for telephones: what a survey app says by MQTT, on the topics of an invitation (docs/protocol.md).

Here device and subscriber ids fall, before anything is queued, logged or kept: cloud.coverage.into.record has how. What
tells of other people's devices (Wi-Fi, Bluetooth) is refused unread. What is refused is counted by reason; none of it
is repeated anywhere.

The app loses what it says while it is offline, so silence here is *not measured* and never a dead zone. A telephone
that says itself that it finds no network, and where it is (it speaks over Wi-Fi, or its other SIM serves), is one.
"""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from cloud.coverage.into.join import Joiner
from cloud.coverage.into.record import Kind, clean, scalar
from cloud.coverage.sample import AHEAD_MS, BadSample, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cloud.coverage.into.record import Record

MAX_BYTES: Final = 16_384  # the longest message, a state with sixteen cells, has 4 KiB
_OLDEST_LIVE_MS = 86_400_000  # nothing keeps messages for so long: the telephone's clock is wrong
_MAX_FIELDS = 96
_REFUSED: Final[Mapping[str, str]] = {"80211_beacon_message": "wifi", "bluetooth_message": "bluetooth"}
STREAMS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "nr_message": {"NrRecord": "nr"},
    "lte_message": {"LteRecord": "lte"},
    "umts_message": {"UmtsRecord": "umts"},
    "gsm_message": {"GsmRecord": "gsm"},
    "gnss_message": {"GnssRecord": "gnss"},
    "device_status_message": {"DeviceStatus": "status", "PhoneState": "state"},
}


class _Message(msgspec.Struct):
    messageType: str  # noqa: N815 - the app's name
    data: dict[str, msgspec.Raw]  # values stay bytes: only what is asked for is ever read


_decoder = msgspec.json.Decoder(_Message)


class Door:
    """Takes messages of all telephones; one thread.

    `counted` has what was refused, by reason: it only grows. `passed` has what is neither sample nor fault: neighbours,
    fixes, states of telephones in service.
    """

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self._joiner = Joiner()
        self._key = secrets.token_bytes(16)

    @property
    def passed(self) -> Counter[str]:
        """Messages that were understood and are no samples, by what they are."""
        return self._joiner.passed

    def hear(self, team: str, topic_stream: str, payload: bytes, now_ms: int) -> list[Sample]:
        """Return the samples that are complete now, of whichever telephone. Never raises for what a payload holds."""
        try:
            kind, get = _opened(topic_stream, payload)
            record = _live(clean(kind, get, self._key), now_ms)
        except BadSample as bad:
            self.counted[bad.reason] += 1
            return self.due(now_ms)
        return self._good(self._joiner.add(team, record, now_ms), now_ms)

    def due(self, now_ms: int) -> list[Sample]:
        """Return the samples whose moment is over. To be asked each second or so: a last moment has no successor."""
        return self._good(self._joiner.due(now_ms), now_ms)

    def rest(self, now_ms: int) -> list[Sample]:
        """Return what is still open: at the end of the process."""
        return self._good(self._joiner.rest(), now_ms)

    def _good(self, found: Iterable[Sample | BadSample], now_ms: int) -> list[Sample]:
        good = []
        for one in found:
            try:
                if isinstance(one, BadSample):
                    raise one
                good.append(one.checked(now_ms))
            except BadSample as bad:
                self.counted[bad.reason] += 1
        return good


def _live(record: Record, now_ms: int) -> Record:
    if record.time_ms < now_ms - _OLDEST_LIVE_MS:
        raise BadSample("clock")
    if record.time_ms > now_ms + AHEAD_MS:  # its fix would pass for the newest until then
        raise BadSample("time")
    return record


def _opened(stream: str, payload: bytes) -> tuple[Kind, Callable[[str], object]]:
    if stream in _REFUSED:
        raise BadSample(_REFUSED[stream])
    if stream not in STREAMS:
        raise BadSample("stream")
    if len(payload) > MAX_BYTES:
        raise BadSample("size")
    try:
        message = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadSample("json") from None
    kind = STREAMS[stream].get(message.messageType)
    if kind is None or len(message.data) > _MAX_FIELDS:
        raise BadSample("message")
    return kind, lambda field: _value(message.data, field)


def _value(data: Mapping[str, msgspec.Raw], field: str) -> object:
    raw = data.get(field)
    return raw if field == "networkRegistrationInfo" else scalar(raw)
