"""Files that staff send beside a row of the registry: made anew aside, kept, and named there; or nothing is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from cloud.registry.cells import Bad
from cloud.registry.draft import Rejected
from cloud.staff.book.fields import blank, fields, judged, typed
from disk.flush import flush

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from starlette.responses import Response

    from cloud.staff.aside.uploads import Limit
    from cloud.staff.visit import Visit


class Sending(NamedTuple):
    """How a kind of row is sent with its file: its words stand under `kind.`, as `no_file` and `known` do."""

    kind: str
    table: str  # that it goes to
    path: str  # of its form
    accept: str  # what a browser offers
    asked: tuple[str, ...]  # columns, when it is sent; the rest later
    limit: Limit
    made: Callable[[str, bytes], dict[str, bytes] | str]  # its files by name, of code and body; or why there are none
    unsaid: Mapping[str, str] = {}  # texts of columns that nobody may fill in here
    licences: tuple[str, ...] = ()  # that are proposed

    def new(self, visit: Visit, **texts: str) -> Response:
        """Choose a file and say what it is."""
        return self._form(visit, blank(self.kind) | {"tree": visit.asked("cay")} | texts)

    def send(self, visit: Visit) -> Response:
        """Take a file: it is made anew aside, kept, and named in the registry; or nothing is."""
        texts = {**typed(visit, self.kind), **self.unsaid}
        upload = visit.upload
        if upload is None or not upload.body:
            return self._form(visit, texts, why="no_file")
        if len(upload.body) > self.limit.size:
            return visit.told("too_long", status=413, limit=visit.s.number(self.limit.size / 1e6))
        texts["code"] = code_of(upload.body)
        record, bads = judged(self.kind, texts)
        if record is None:
            return self._form(visit, texts, bads=bads)
        made = self.made(texts["code"], upload.body)
        if isinstance(made, str):
            return self._form(visit, texts, why=made)
        kept = keep(visit.staff.photos, made)
        try:
            with visit.staff.shelf.act(visit.who, f"{self.kind} {texts['code']}") as draft:
                draft.put([record], 0)
        except (Bad, Rejected) as error:
            if isinstance(error, Bad):
                return self._form(visit, texts, why="known")
            for path in kept:
                path.unlink(missing_ok=True)
            return self._form(visit, texts, bads=[bad for _, bad in error.faults])
        return visit.go(f"/bang/{self.table}/dong", k=texts["code"], xong="saved")

    def _form(self, visit: Visit, texts: dict[str, str], *, why: str = "", bads: list[Bad] | None = None) -> Response:
        faults = {bad.column: visit.s.why(bad) for bad in bads or ()}
        return visit.page(
            "file.html",
            status=422 if why or bads else 200,
            sending=self,
            licences=self.licences,
            fields=[one for one in fields(visit, self.kind, texts, faults=faults) if one.name in self.asked],
            why=visit.s.say(f"{self.kind}.{why}") if why else "",
            others=[words for column, words in faults.items() if column not in self.asked],
            megabytes=f"{self.limit.size / 1e6:.0f}",
        )


def code_of(body: bytes) -> str:
    """Return the code of a photo or a voice: the same file is the same one."""
    return hashlib.sha256(body).hexdigest()[:16]


def keep(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write all files of a photo or a voice, each whole or not at all; return those that were not there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    made: list[Path] = []
    try:
        for name, body in files.items():
            path = folder / name
            if not path.exists():
                fresh = path.with_name(f".{path.name}.new")
                made.append(fresh)
                fresh.write_bytes(body)
                flush(fresh)
                fresh.replace(path)
                made[-1] = path
        flush(folder)
    except OSError:
        for path in made:
            path.unlink(missing_ok=True)
        raise
    return made
