"""Every way in is given identities of devices and subscribers; then all that is kept, shown and logged is searched."""

from __future__ import annotations

import json
import logging
import random
from typing import TYPE_CHECKING

from cloud.access import book as accounts
from cloud.coverage import book
from cloud.coverage.out import csv, geojson, mls, nrrecord
from cloud.coverage.uploads import FOLDER
from cloud.pages.app import build
from cloud.stream.connection import Arrival
from tests import sentinels
from tests.test_access import invited
from tests.test_coverage_csv import OUT, WALK, cells, files, states, walk
from tests.test_coverage_damage import damaged
from tests.test_coverage_geosubmit import TOWER, body, item
from tests.test_coverage_room import World, bring, outcome
from tests.visitors import Visitor
from tests.visitors import World as Pages

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

USER = "doi-hang-tay-1"
HOME = {"simState": "READY", "simOperator": "45204", "networkRegistrationInfo": OUT}


def said() -> list[tuple[str, bytes]]:
    """Return messages of every stream, whole and damaged in many ways."""
    whole = [
        (sentinels.STREAM[kind], sentinels.message(kind, **fields))
        for kind, fields in (
            ("LteRecord", sentinels.LTE),
            ("NrRecord", sentinels.NR),
            ("GsmRecord", {"groupNumber": 8, "servingCell": True, "signalStrength": -95}),
            ("GnssRecord", {"groupNumber": 1}),
            ("DeviceStatus", {}),
            ("PhoneState", HOME),
        )
    ]
    whole += [
        (stream, sentinels.message(kind, ssid=sentinels.DEVICE))
        for stream, kind in (
            ("80211_beacon_message", "WifiBeaconRecord"),
            ("bluetooth_message", "BluetoothRecord"),
            ("cdma_message", "CdmaRecord"),
            (sentinels.SERIAL, "LteRecord"),
        )
    ]
    dice = random.Random("identities")
    return whole + [(stream, damaged(payload, dice)) for stream, payload in whole for _ in range(20)]


def brought() -> dict[str, bytes]:
    """Return files of every form, whole and damaged: an identity may stand in any column then."""
    walked = files(walk(PhoneState=states((0, OUT))))
    table = sentinels.table("LteRecord", cells(*WALK))
    shifted = table.replace(b",452,", b",").replace(b",true,", f",{sentinels.IMEI},".encode())
    told = {field: sentinels.IDS[field] for field in sentinels.IDS} | {"userAgent": sentinels.MODEL}
    submitted = body(
        item(TOWER | told, **told), item(TOWER | {"cellId": sentinels.IMSI, "signalStrength": sentinels.IMEI})
    )
    dice = random.Random("files")
    return {
        "a.zip": walked,
        "b.csv": table,
        "c.csv": shifted,
        "d.csv": damaged(table, dice),
        "e.json": submitted,
        "f.json": json.dumps(sentinels.IDS).encode(),
        "g.csv": sentinels.table("WifiBeaconRecord", [{"bssid": "00:11:22:33:44:55", "ssid": sentinels.DEVICE}]),
        "h.zip": sentinels.zipped(**{sentinels.DEVICE: table, sentinels.MISSION: shifted}),
    }


def test_no_identity_is_found_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    room_folder, pages_folder = tmp_path / "data", tmp_path / "pages"
    room_folder.mkdir()
    pages_folder.mkdir()
    world = World(room_folder)
    world.clock.now_ms = sentinels.NOW_MS
    invited(room_folder / accounts.NAME)
    for stream, payload in said():
        world.phones.arrived(Arrival(USER, stream, payload, sentinels.NOW_MS, retained=False))
    asked = [bring(world, name, content) for name, content in brought().items()]
    for _ in range(3):
        world.run()
        world.clock.advance(600)
    told = [outcome(world, number) for number in asked]
    assert all(told)
    path = room_folder / book.NAME
    kept = list(world.book.samples(0, 2**62))
    assert len(kept) > len(WALK)
    world.die()
    every = [sheet for key in book.sheets(path) if (sheet := book.sheet(path, *key[:4]))]
    assert every
    exports = [*(b"".join(geojson.write(sheet)) for sheet in every), b"".join(csv.write(every))]
    exports += [b"".join(mls.write(kept)), b"".join(nrrecord.write(kept))]
    shown = Pages(pages_folder)
    visitor = Visitor(build(shown.garden(surveyed=path)))
    pages = [visitor.get(page).text for page in ("/", "/phu-song", "/phu-song.json")]
    shown.store.close()
    assert sentinels.leaks(tmp_path, repr(told), repr(kept), caplog.text, *exports, *pages) == []
    assert list((room_folder / FOLDER).iterdir()) == []
    world.store.close()
