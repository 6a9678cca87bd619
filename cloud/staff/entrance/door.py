"""In and out: sign-in, the link that is good once, one's own password, and the devices on which one is signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.registry.cells import Bad
from cloud.registry.draft import Rejected
from cloud.registry.kinds import Person
from cloud.registry.rows import read, write
from cloud.staff.entrance import passwords

if TYPE_CHECKING:
    from starlette.responses import Response

    from cloud.staff.entrance.accounts import Invitation
    from cloud.staff.visit import Visit

HARD_S = 30 * 24 * 3600


def sign_in(visit: Visit) -> Response:
    """The form."""
    if visit.person is not None:
        return visit.go("/")
    return _at_the_door(visit, "sign_in.html", typed="", why="", onward=_local(visit.asked("tiep")))


def sign_in_try(visit: Visit) -> Response:
    """Let somebody in, or say that it was not right: never which of the two."""
    staff, typed, onward = visit.staff, visit.given("who"), _local(visit.given("onward"))
    person = staff.shelf.called(typed)
    account = person.code if person else typed.strip().casefold()[:200]
    if wait_s := staff.throttle.wait_s(account, visit.network):
        why = visit.s.say("door.wait", seconds=wait_s)
        answer = _at_the_door(visit, "sign_in.html", status=429, typed=typed, why=why, onward=onward)
        answer.headers["Retry-After"] = str(wait_s)
        return answer
    kept = staff.accounts.hash_of(account) if person and person.access else None
    password = visit.given("password")
    if not passwords.right(password, kept) or person is None or kept is None:
        why = visit.s.say("door.wrong")
        return _at_the_door(visit, "sign_in.html", status=403, typed=typed, why=why, onward=onward)
    staff.throttle.forget(account, visit.network)
    if passwords.outdated(kept):
        staff.accounts.rehash(account, passwords.hashed(password))
    return _let_in(visit, person.code, onward or "/")


def sign_out(visit: Visit) -> Response:
    """End this session."""
    assert visit.session is not None
    visit.staff.accounts.end(visit.session.code, visit.session.id)
    answer = visit.go("/dang-nhap")
    answer.delete_cookie(visit.staff.cookie("session"), path="/", secure=visit.staff.safe, httponly=True)
    return answer


def link(visit: Visit) -> Response:
    """Where somebody who was sent a link chooses a password. Looking at it uses nothing up."""
    invitation = visit.staff.accounts.invited(visit.parts["token"])
    if invitation is None:
        return visit.told("link_used", status=410)
    return _choose(visit, invitation)


def link_use(visit: Visit) -> Response:
    """Use the link up: its person is written into the registry if they are new, and is signed in."""
    staff, password = visit.staff, visit.given("password")
    invitation = staff.accounts.invited(visit.parts["token"])
    if invitation is None:
        return visit.told("link_used", status=410)
    name = visit.given("name").strip() or invitation.name
    weak = passwords.weakness(password, invitation.code, name)
    if weak or password != visit.given("again"):
        return _choose(visit, replace(invitation, name=name), status=422, why=f"door.{weak or 'differs'}")
    try:
        _write_person(visit, replace(invitation, name=name))
    except (Bad, Rejected) as error:
        bad = error.faults[0][1] if isinstance(error, Rejected) else error
        return _choose(visit, invitation, status=422, said=visit.s.why(bad))
    if not staff.accounts.accept(visit.parts["token"], passwords.hashed(password)):
        return visit.told("link_used", status=410)
    return _let_in(visit, invitation.code, "/")


def me(visit: Visit) -> Response:
    """Who I am, my password, my devices."""
    return _me(visit)


def password(visit: Visit) -> Response:
    """Change one's own password; every other device is signed out."""
    staff, person = visit.staff, visit.somebody
    if staff.throttle.wait_s(person.code, visit.network):
        return _me(visit, status=429, why="door.often")
    if not passwords.right(visit.given("old"), staff.accounts.hash_of(person.code)):
        return _me(visit, status=422, why="door.old_wrong")
    new = visit.given("password")
    weak = passwords.weakness(new, person.code, person.name)
    if weak or new != visit.given("again"):
        return _me(visit, status=422, why=f"door.{weak or 'differs'}")
    staff.throttle.forget(person.code, visit.network)
    staff.accounts.change(person.code, passwords.hashed(new))
    return _let_in(visit, person.code, "/toi?xong=password")


def device_end(visit: Visit) -> Response:
    """Sign oneself out on another device."""
    number = visit.given("session")
    visit.staff.accounts.end(visit.somebody.code, int(number) if number.isdecimal() and len(number) < 19 else -1)
    return visit.go("/toi")


def language(visit: Visit) -> Response:
    """Speak the other language on this device from now on."""
    assert visit.session is not None
    visit.staff.accounts.speak(visit.session.id, visit.s.other)
    return visit.go(_local(visit.given("onward")) or "/")


def invite(visit: Visit) -> Response:
    """Show a new link for somebody, once."""
    person = visit.staff.shelf.person(visit.given("code"))
    if person is None or not person.access:
        return visit.told("no_access", status=422)
    token = visit.staff.accounts.invite(person.code, person.name, "")
    return visit.page("invited.html", person=person, link=f"{visit.staff.url}/moi/{token}")


def sign_somebody_out(visit: Visit) -> Response:
    """End every session of somebody: a telephone was lost."""
    code = visit.given("code")
    visit.staff.accounts.end(code)
    return visit.go("/bang/people/dong", k=code)


def _write_person(visit: Visit, invitation: Invitation) -> None:
    """Bring the registry up to what a link promised: the person, their name and role."""
    if not invitation.role:
        return
    known = visit.staff.shelf.person(invitation.code)
    own = {"code": invitation.code, "name": invitation.name, "access": invitation.role}
    person = read(Person, (write(known) if known else {}) | own)
    with visit.staff.shelf.act(f"{invitation.name} ({invitation.code})", "first sign-in") as draft:
        draft.put([person])


def _choose(visit: Visit, invitation: Invitation, *, status: int = 200, why: str = "", said: str = "") -> Response:
    told = visit.s.say(why, shortest=passwords.SHORTEST) if why else said
    return _at_the_door(visit, "link.html", status=status, invitation=invitation, why=told)


def _me(visit: Visit, *, status: int = 200, why: str = "") -> Response:
    told = visit.s.say(why, shortest=passwords.SHORTEST) if why else ""
    sessions = visit.staff.accounts.sessions(visit.somebody.code)
    return visit.page("me.html", status=status, sessions=sessions, why=told)


def _let_in(visit: Visit, code: str, onward: str) -> Response:
    secret = visit.staff.accounts.sign_in(code, visit.agent)
    answer = visit.go(onward)
    _set_cookie(visit, answer, "session", secret, HARD_S)
    return answer


def _at_the_door(visit: Visit, template: str, *, status: int = 200, **context: object) -> Response:
    """Return a form for who is not signed in, with the cookie that its token belongs to."""
    answer = visit.page(template, status=status, **context)
    if visit.session is None:
        _set_cookie(visit, answer, "door", visit.secret, None)
    return answer


def _set_cookie(visit: Visit, answer: Response, name: str, value: str, age_s: int | None) -> None:
    safe = visit.staff.safe
    answer.set_cookie(
        visit.staff.cookie(name), value, max_age=age_s, path="/", secure=safe, httponly=True, samesite="lax"
    )


def _local(path: str) -> str:
    """Return a path of ours to go on to; "" for anything that could lead elsewhere."""
    ours = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if ours and len(path) < 2_000 else ""
