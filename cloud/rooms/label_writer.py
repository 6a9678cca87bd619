"""`python -m cloud.rooms.label_writer FOLDER NAME MEMORY SECONDS`: a sheet of labels for staff, in a bounded process.

It stands here because it joins two rooms that do not know each other: who asks (staff) and who draws (labels).
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from cloud.labels import BadLabel
from cloud.labels.sheet import A4, Form, draw
from cloud.staff.aside.uploads import bounded
from cloud.staff.book.tags import Drawn, Order
from settings.words import words

FORMS = {"3x4": Form(A4, 3, 4, 40.0), "4x5": Form(A4, 4, 5, 30.0), "60x80": Form((60.0, 80.0), 1, 1, 40.0, margin=0.0)}


def made(order: Order, path: Path) -> Drawn:
    """Return the sheet of an order, or why there is none."""
    line = words("cloud.labels")["tag"]["line"]
    try:
        draw(path, order.tags, order.public_url, (line["vi"], line["en"]), FORMS[order.form], skip=order.skip)
    except BadLabel as bad:
        return Drawn(why_vi=bad.told("vi"), why_en=bad.told("en"))
    return Drawn(path.read_bytes())


def main(folder: str, name: str, memory: str, seconds: str) -> None:
    """Write the answer beside what was given."""
    bounded(int(memory), int(seconds))
    place = Path(folder)
    order = msgspec.msgpack.decode(place.joinpath(name).read_bytes(), type=Order)
    place.joinpath("answer").write_bytes(msgspec.msgpack.encode(made(order, place / "sheet.pdf")))


if __name__ == "__main__":
    main(*sys.argv[1:])
