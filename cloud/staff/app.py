"""The staff's pages as an application: every way in, on one screen, behind the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cloud.registry.sheets import STEMS
from cloud.staff import handbook
from cloud.staff.aside.uploads import LARGEST, LARGEST_PHOTO, LARGEST_VOICE
from cloud.staff.book import acts, bring_in, maintenance, phones, surveys, tables, tags
from cloud.staff.day import morning
from cloud.staff.duty import acts as duty_acts
from cloud.staff.duty import board, history, incident, letters
from cloud.staff.duty.packed import packed
from cloud.staff.entrance import door
from cloud.staff.entrance.above import Above
from cloud.staff.entrance.access import TABLES
from cloud.staff.entrance.gate import Gate
from cloud.staff.field import screen as field
from cloud.staff.field import sent
from cloud.staff.figures import data, monthly
from cloud.staff.told import photos, queue, reports, stories, voices
from cloud.staff.told.stories import QUEUE
from cloud.staff.visit import TEMPLATES
from cloud.staff.way import Way

if TYPE_CHECKING:
    from cloud.staff.visit import Staff, Visit
    from cloud.staff.warnings import Warnings

CHAPTERS = {
    "tree": "cay",
    "zone": "cay",
    "tag": "the",
    "gateway": "thiet-bi",
    "device": "thiet-bi",
    "binding": "thiet-bi",
    "calibration": "thiet-bi",
    "maintenance": "bao-tri",
    "person": "nguoi",
    "consent": "nguoi",
    "duty": "danh-sach-truc",
    "burn_permit": "danh-sach-truc",
    "known_source": "danh-sach-truc",
    "photo": "anh",
    "voice": "giong",
}  # of a table's own
NEW = {"photo": photos.new, "voice": voices.SENDING.new}  # rows that come with a file
A_DAY = {"Cache-Control": "max-age=86400"}


def ways() -> list[Way]:
    """Return every way in, in the order in which an address is compared with them."""
    return [
        Way("style", "/style.css", _style, "dang-nhap"),
        Way("icon", "/icon.svg", _icon, "dang-nhap"),
        Way("up", "/healthz", _up, "dang-nhap"),
        Way("sign-in", "/dang-nhap", door.sign_in, "dang-nhap"),
        Way("sign-in try", "/dang-nhap", door.sign_in_try, "dang-nhap", post=True, door=True),
        Way("link", "/moi/{token}", door.link, "dang-nhap"),
        Way("link use", "/moi/{token}", door.link_use, "dang-nhap", post=True, door=True),
        Way("sign-out", "/dang-xuat", door.sign_out, "tai-khoan", post=True),
        Way("language", "/ngon-ngu", door.language, "tai-khoan", post=True),
        Way("me", "/toi", door.me, "tai-khoan"),
        Way("device end", "/toi/thiet-bi", door.device_end, "tai-khoan", post=True),
        Way("password", "/toi/mat-khau", door.password, "tai-khoan", post=True, door=True),
        Way("today", "/", morning.today, "hom-nay", script=True),
        Way("tables", "/bang", tables.index, "so-vuon"),
        *(way for kind in TABLES for way in _of_table(kind)),
        Way("worker", "/worker.js", field.script("worker.js"), "gan", script=True),
        Way("field script", "/gan.js", field.script("gan.js"), "gan", script=True),
        Way("queue script", "/queue.js", field.script("queue.js"), "gan", script=True),
        Way("field", "/gan", field.screen, "gan", script=True),
        Way("field garden", "/gan/vuon.json", field.garden, "gan"),
        Way("field ticket", "/gan/ve.json", field.ticket, "gan"),
        Way("field send", "/gan/gui", sent.send, "gan", post=True, limit=LARGEST_PHOTO),
        Way("field of a tag", "/gan/{code}", field.screen, "gan", script=True),
        *_of_duty(),
        *_of_maintenance(),
        *_of_phones(),
        Way("invite", "/nguoi/lien-ket", door.invite, "nguoi", post=True),
        Way("sign somebody out", "/nguoi/dang-xuat", door.sign_somebody_out, "nguoi", post=True),
        Way("data", "/so-lieu", data.screen, "so-lieu"),
        Way("data csv", "/so-lieu/tai.csv", data.as_csv, "so-lieu"),
        Way("data xlsx", "/so-lieu/tai.xlsx", data.as_xlsx, "so-lieu"),
        Way("report", "/bao-cao", monthly.screen, "bao-cao"),
        Way("report pdf", "/bao-cao/tai.pdf", monthly.as_pdf, "bao-cao"),
        Way("acts", "/viec", acts.listed, "lich-su"),
        Way("act", "/viec/{act}", acts.one, "lich-su"),
        Way("undo", "/viec/{act}/lay-lai", acts.undo, "lich-su", post=True),
        Way("photo send", "/anh", photos.SENDING.send, "anh", post=True, limit=LARGEST_PHOTO),
        Way("picture", "/anh/{name}", photos.picture, "anh"),
        Way("voice send", "/giong", voices.SENDING.send, "giong", post=True, limit=LARGEST_VOICE),
        Way("sound", "/giong/{name}", voices.sound, "giong"),
        Way("stories", "/chuyen", stories.listed, "chuyen"),
        Way("story", "/chuyen/{tree}/{lang}", stories.one, "chuyen"),
        Way("story save", "/chuyen/{tree}/{lang}", stories.save, "chuyen", post=True),
        Way("story review", "/chuyen/{tree}/{lang}/duyet", stories.review, "chuyen", post=True),
        Way("tags", "/the", tags.screen, "the"),
        Way("tags mint", "/the/tao", tags.mint_some, "the", post=True),
        Way("tags sheet", "/the/to", tags.sheet, "the", post=True),
        *_of_queue(),
        Way("import", "/nhap", bring_in.form, "nhap"),
        Way("import try", "/nhap", bring_in.attempt, "nhap", post=True, limit=LARGEST),
        Way("import write", "/nhap/ghi", bring_in.write, "nhap", post=True),
        Way("handbook", "/so-tay", handbook.index, "so-tay"),
        Way("chapter", "/so-tay/{chapter}", handbook.chapter, "so-tay"),
    ]


def _of_queue() -> list[Way]:
    """Return the ways of who judges what others send."""
    return [
        Way("queue", QUEUE, queue.screen, "cho-duyet"),
        Way("reports", reports.PATH, reports.screen, "tin-bao"),
        Way("reports judge", reports.PATH, reports.judge, "tin-bao", post=True),
        Way("photo review", "/anh/{code}/duyet", queue.photo, "cho-duyet", post=True),
        Way("voice review", "/giong/{code}/duyet", queue.voice, "cho-duyet", post=True),
    ]


def _of_duty() -> list[Way]:
    """Return the ways of who watches for fire, and of who answers without a sign-in."""
    return [
        Way("duty", "/truc", board.screen, "truc", script=True),
        Way("duty state", "/truc/bang.json", board.state, "truc"),
        Way("duty script", "/truc.js", _duty_script, "truc", script=True),
        Way("duty history", "/truc/lich-su", history.listed, "truc"),
        Way("duty act", "/truc/viec", duty_acts.act, "truc", post=True),
        Way("incident", "/truc/{number}", incident.screen, "truc", script=True),
        Way("incident replay", "/truc/{number}/phat-lai", incident.replay, "truc", script=True),
        Way("letter link", "/i/{token}", letters.shown, "truc"),
        Way("letter answer", "/i/{token}", letters.answer, "truc", post=True, proven=True),
        Way("hook", "/hook/{channel}", letters.posted, "truc", post=True, machine=True, limit=letters.LONGEST),
    ]


def _of_maintenance() -> list[Way]:
    """Return the ways of who works at a sensor."""
    return [
        Way("maintenance", "/bao-tri", maintenance.screen, "bao-tri"),
        Way("maintenance begin", "/bao-tri", maintenance.begin, "bao-tri", post=True),
        Way("maintenance end", "/bao-tri/het", maintenance.end, "bao-tri", post=True),
    ]


def _of_phones() -> list[Way]:
    """Return the ways of teams' telephones, and of the files that they bring."""
    return [
        Way("phones", phones.PATH, phones.screen, "dien-thoai"),
        Way("phones invite", f"{phones.PATH}/moi", phones.invite, "dien-thoai", post=True),
        Way("phones revoke", f"{phones.PATH}/huy", phones.revoke, "dien-thoai", post=True),
        Way("surveys", surveys.PATH, surveys.screen, "do-song"),
        Way("survey send", surveys.PATH, surveys.send, "do-song", post=True, limit=surveys.LARGEST, spooled=True),
        Way("survey", f"{surveys.PATH}/{{file}}", surveys.one, "do-song"),
    ]


def _of_table(kind: str) -> list[Way]:
    """Return the ways of one table."""
    path, chapter = f"/bang/{STEMS[kind]}", CHAPTERS.get(kind, "so-vuon")
    return [
        Way(f"{kind} list", path, tables.listed(kind), chapter),
        Way(f"{kind} row", f"{path}/dong", tables.row(kind), chapter),
        Way(f"{kind} new", f"{path}/moi", NEW.get(kind) or tables.new(kind), chapter),
        Way(f"{kind} export", f"{path}/{STEMS[kind]}.csv", tables.export(kind), chapter),
        Way(f"{kind} save", f"{path}/luu", tables.save(kind), chapter, post=True),
        Way(f"{kind} remove", f"{path}/xoa", tables.remove(kind), chapter, post=True),
    ]


def build(staff: Staff, warnings: Warnings | None = None) -> tuple[Above, Gate]:
    """Return the application, and the gate whose threads it runs in."""
    gate = Gate(staff)
    return Above(site(gate, warnings), staff), gate


def site(gate: Gate, warnings: Warnings | None = None) -> Starlette:
    """Return the routes alone; those of warnings ask for a key, not for a session."""
    routes = warnings.routes() if warnings else []
    routes += [Route(way.path, gate.endpoint(way), methods=[way.method], name=way.name) for way in ways()]
    return Starlette(routes=routes, exception_handlers={HTTPException: gate.refused, Exception: gate.broken})


def _style(visit: Visit) -> Response:
    return packed(visit, Response((TEMPLATES / "style.css").read_bytes(), headers=A_DAY, media_type="text/css"))


def _duty_script(visit: Visit) -> Response:
    return packed(visit, field.script("truc.js")(visit))


def _icon(_visit: Visit) -> Response:
    return Response((TEMPLATES / "icon.svg").read_bytes(), headers=A_DAY, media_type="image/svg+xml")


def _up(_visit: Visit) -> Response:
    return PlainTextResponse("up\n")
