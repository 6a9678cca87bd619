"""A Modbus relay board: coils that switch, and inputs that somebody presses. pymodbus frames what it says.

Functions 1 (read coils), 2 (read inputs) and 5 (set a coil), as the boards that are sold for a few dollars have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadCoilsResponse,
    ReadDiscreteInputsRequest,
    ReadDiscreteInputsResponse,
    WriteSingleCoilRequest,
    WriteSingleCoilResponse,
)

if TYPE_CHECKING:
    from pymodbus.pdu import ModbusPDU

    from gocche.garden.stage import Stage

COILS = 8


class Relay:
    """One board. `coils` is what its relays do now."""

    def __init__(self, channel: str, address: int) -> None:
        self.channel, self.address = channel, address
        self.coils = [False] * COILS

    def hear(self, request: ModbusPDU, stage: Stage | None) -> ModbusPDU | None:
        """Do what is asked and return the answer; None where the board is silent."""
        told = stage.of(self.channel) if stage else {}
        if told.get("silent"):
            return None
        if request.address + max(request.count, 1) > COILS:
            return self._refused(request, ExcCodes.ILLEGAL_ADDRESS)
        at = slice(request.address, request.address + request.count)
        match request:
            case WriteSingleCoilRequest():
                self.coils[request.address] = bool(request.bits[0])
                return WriteSingleCoilResponse(self.address, address=request.address, bits=request.bits[:1])
            case ReadDiscreteInputsRequest():
                pressed = [bool(told.get("button")), *[False] * (COILS - 1)]
                return ReadDiscreteInputsResponse(self.address, bits=pressed[at])
            case ReadCoilsRequest():  # which the other is a kind of
                return ReadCoilsResponse(self.address, bits=self.coils[at])
        return self._refused(request, ExcCodes.ILLEGAL_FUNCTION)

    def _refused(self, request: ModbusPDU, code: ExcCodes) -> ModbusPDU:
        refused = ExceptionResponse(request.function_code, code)
        refused.dev_id = self.address
        return refused
