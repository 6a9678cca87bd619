"""A reading: one poll of one channel — a time, and a number or a reason for each of its quantities."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Reason(IntEnum):
    """Why a quantity has no value. The codes cross the network and stand in stores: never reuse one."""

    SILENCE = 1  # nothing came before the time-out
    SHORT = 2  # an answer began and broke off
    CHECKSUM = 3  # CRC or checksum is wrong
    WRONG_DEVICE = 4  # somebody else answered, or the frame is implausible as a whole
    REFUSED = 5  # the device answered with an exception or an error
    SENTINEL = 6  # the device itself says "no value" (0x8000, 999, -32768 …)
    OUT_OF_RANGE = 7  # a number that this quantity cannot have
    NO_FIX = 8  # a position without a valid fix
    NOT_REPORTED = 9  # the field is empty, or this answer does not carry it
    WARMING_UP = 10  # the sensor is known to lie just after power-up
    PORT_LOST = 11  # the serial port is gone
    GARBLED = 12  # the answer breaks the device's own grammar
    FAULTY = 13  # the driver itself stumbled: a defect of gocche, not of the sensor
    AMBIGUOUS = 14  # a number whose unit this model does not tell: a setting of the sensor can
    PORT_BUSY = 15  # the device is there, and another program holds its port
    NO_BUDGET = 16  # not asked, as that would cost more data than it may


class Reading(msgspec.Struct, frozen=True, omit_defaults=True):
    """One poll of one channel, dated in monotonic milliseconds of its boot.

    `values` are scaled integers (`value * 10**decimals`, see `wire.quantities`); `reasons` are `Reason` codes.
    A quantity stands in exactly one of the two. A failed poll has reasons only. `raw` is the scaled number that stands
    beside some reasons: what the device said and nobody may take for a value. Staff look at it, rules and the public
    never do.
    """

    channel: str
    mono_ms: int
    values: dict[str, int]
    reasons: dict[str, int]
    raw: dict[str, int] = {}
