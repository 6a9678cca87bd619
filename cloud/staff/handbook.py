"""The handbook: a short chapter for each screen, in Vietnamese, as files that anybody can mend (`handbook/*.md`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cloud.staff.prose import Block, blocks

if TYPE_CHECKING:
    from starlette.responses import Response

    from cloud.staff.visit import Visit

FOLDER = Path(__file__).parent / "handbook"


class Chapter(NamedTuple):
    """One chapter: its name in the address, its title, what it says."""

    name: str
    title: str
    blocks: list[Block]


def chapters() -> list[Chapter]:
    """Return all chapters, in the order of their files."""
    return [_read(file) for file in sorted(FOLDER.glob("*.md"))]


def index(visit: Visit) -> Response:
    """What there is to read."""
    return visit.page("handbook.html", chapters=chapters())


def chapter(visit: Visit) -> Response:
    """One chapter."""
    found = next((one for one in chapters() if one.name == visit.parts["chapter"]), None)
    return visit.page("chapter.html", chapter=found) if found else visit.told("missing", status=404)


def _read(file: Path) -> Chapter:
    title, _, rest = file.read_text("utf-8").partition("\n")
    return Chapter(file.stem.partition("-")[2], title.removeprefix("# "), blocks(rest))
