"""Field binding: the screen with which a tag gets its tree and a sensor its place, on a telephone, with signal or not.

Without script it is a form that finds trees by name. With it (`gan.js`) the telephone keeps a copy of what is needed,
proposes what is nearest, and what was bound without signal waits in its queue (`queue.js`) until it can be sent.
"""

from __future__ import annotations

import gzip
import secrets
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import JSONResponse, Response

from cloud.registry import codes
from cloud.registry.alphabet import plain
from cloud.registry.kinds import Device, Hamlet, Tag, Tree, Zone
from cloud.staff.book.bindings import hanging
from cloud.staff.visit import TEMPLATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloud.staff.visit import Visit

SHOWN = 20  # places of the form without script
SAID = (
    "again", "as_of", "bad_photo", "choose_place", "choose_sensor", "conflict", "drop", "exact", "forbidden",
    "hangs_at", "hangs_nowhere", "here", "keep_theirs", "kept", "kept_full", "kilometres", "locating", "metres",
    "mine", "more", "no_place", "no_position", "nobody", "nothing_instead", "offline", "old_copy", "other_person",
    "photo_with", "refused", "sending", "sensor_to", "sent", "sign_in", "tag_blank", "tag_bound", "tag_retired",
    "tag_slip", "tag_to", "tag_tree", "tag_unknown", "theirs", "waits", "without_photo", "write_mine",
)  # fmt: skip


def screen(visit: Visit) -> Response:
    """The form. `code` stands in the address of a tag that a telephone's camera has read."""
    typed = visit.parts.get("code", "")
    code = codes.normalise(typed)
    return page(visit, tag=codes.shown(code) if code else typed[:12])


def page(visit: Visit, *, tag: str, status: int = 200, told: tuple[str, list[str]] | None = None) -> Response:
    """Return the form, with what has just been said about what was sent."""
    query = visit.asked("q")[:100]
    words = plain(query).split()
    shelf = visit.staff.shelf
    with shelf.book() as book:
        seen = book.newest
    trees = [one for one in shelf.rows("tree") if isinstance(one, Tree)]
    zones = [one for one in shelf.rows("zone") if isinstance(one, Zone)]
    spots = [(key, name, zone, label) for key, name, zone, _, _, label in _places(visit, trees, zones)]
    found = [one for one in spots if all(word in plain(" ".join(one)) for word in words)]
    return visit.page(
        "field.html",
        status=status,
        tag=tag,
        q=query,
        spots=found[:SHOWN],
        more=max(0, len(found) - SHOWN),
        sensors=_sensors(visit),
        devices=_devices(visit),
        seen=seen,
        id=secrets.token_hex(16),
        told=told,
        said={name: visit.s.say(f"field.{name}") for name in SAID},
    )


def garden(visit: Visit) -> Response:
    """Return what a telephone needs to propose and to check, as of a change that it names when it sends."""
    shelf = visit.staff.shelf
    with shelf.book() as book:
        seen = book.newest
        trees = [one for one in shelf.rows("tree") if isinstance(one, Tree)]
        zones = [one for one in shelf.rows("zone") if isinstance(one, Zone)]
        tags = [one for one in shelf.rows("tag") if isinstance(one, Tag)]
        places = list(_places(visit, trees, zones))
        sensors = _sensors(visit)
    told = msgspec.json.encode(
        {
            "seen": seen,
            "who": visit.somebody.code,
            "made_ms": visit.s.now_ms,
            "places": places,
            "own": [one.code for one in trees],
            "tags": {one.code: [one.state, one.tree] for one in tags},
            "sensors": list(sensors.items()),
        }
    )
    # a quarter of it travels; there is no secret in it that its length could tell
    headers = {"Content-Encoding": "gzip"}
    return Response(gzip.compress(told, 5), headers=headers, media_type="application/json")


def _places(visit: Visit, trees: list[Tree], zones: list[Zone]) -> Iterator[tuple[str, str, str, float, float, str]]:
    """Yield (kind:code, name, zone, lat, lon, number on the tree) of all that something can be bound to."""
    names = {one.code: visit.s.one(one.name_vi, one.name_en) for one in zones}
    for tree in trees:
        if tree.state == "alive":
            name = visit.s.one(tree.name_vi, tree.name_en)
            yield f"tree:{tree.code}", name, names.get(tree.zone, ""), tree.lat, tree.lon, tree.label_no
    for zone in zones:
        yield f"zone:{zone.code}", names[zone.code], "", zone.lat, zone.lon, ""
    for hamlet in _hamlets(visit):
        yield f"hamlet:{hamlet.code}", hamlet.name, "", hamlet.lat, hamlet.lon, ""


def ticket(visit: Visit) -> Response:
    """Return what a telephone needs to send what waits: the token of its forms, who is signed in, and the time."""
    return JSONResponse({"token": visit.token, "who": visit.somebody.code, "now_ms": visit.s.now_ms})


def script(name: str) -> Callable[[Visit], Response]:
    """Return what answers with a script of ours."""

    def answer(_visit: Visit) -> Response:
        return Response((TEMPLATES / name).read_bytes(), media_type="text/javascript")

    return answer


def _sensors(visit: Visit) -> dict[str, list[str]]:
    """Return the places of each sensor, by gateway/channel: those first that hang nowhere yet but were heard."""
    now = visit.staff.today()
    found: dict[str, list[str]] = {f"{gateway}/{channel}": [] for gateway, channel in (now.unbound if now else ())}
    for one in hanging(visit):
        found.setdefault(f"{one.gateway}/{one.channel}", []).append(f"{one.place}:{one.code}")
    return found


def _devices(visit: Visit) -> list[tuple[str, str]]:
    rows = (one for one in visit.staff.shelf.rows("device") if isinstance(one, Device))
    return [(one.code, f"{one.code} · {one.model}") for one in rows]


def _hamlets(visit: Visit) -> list[Hamlet]:
    """Return the hamlets, each once, under its newest name."""
    rows = [one for one in visit.staff.shelf.rows("hamlet") if isinstance(one, Hamlet)]
    return list({one.code: one for one in sorted(rows, key=lambda one: one.valid_from)}.values())
