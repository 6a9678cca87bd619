"""The post office beside servers that hang, refuse, fill up and come back, and a clock that is put right."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from cloud.alerts import words
from cloud.alerts.channels import Message, Named, open_channels
from cloud.alerts.listing import events
from cloud.alerts.rules import open_rules
from cloud.alerts.tell import deliver, office
from cloud.clock import SystemClock
from cloud.config import load as load_config
from cloud.registry import Contact, Registry
from cloud.registry.kinds import Person
from cloud.registry.transfer import load
from cloud.rooms import open_room
from tests.rules.garden import (
    SILENT,
    SMOKE,
    Bench,
    HandClock,
    Hook,
    Post,
    batch,
    bound,
    mail_table,
    registry,
    serving,
    until,
)
from tests.servers import free_port
from tests.test_alerts_again import nodes
from tests.test_alerts_route import incident

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GARDEN = Path(__file__).parents[1] / "config" / "garden"
FIRE = [(60.0 * n, 80.0) for n in range(6)]
CALM = [(360.0 + 60.0 * n, 10.0) for n in range(6)]
LU = Contact("Lử", "fire-watch", "lu@example.vn", addresses={"sms": "+84900"})
OP = Contact("Op", "operator", "op@example.vn")
ONSET, OVER, END = "[gocche] NGHI CÓ KHÓI", "[gocche] ĐÃ QUA", "[gocche] ĐÃ HẾT"


class Room(Bench):
    """A bench whose channels are given: a mail server, and a hook for SMS where there is one."""

    def __init__(self, folder: Path, rules: list[dict[str, Any]], channels: list[Named], **settings: Any) -> None:
        self.named = channels
        super().__init__(folder, rules, None, **settings)

    def _channels(self) -> list[Named]:
        return self.named


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Callable[..., Room]]:
    made: list[Room] = []

    def build(rules: list[dict[str, Any]], *tables: dict[str, Any], **settings: Any) -> Room:
        people = settings.pop("contacts", [LU, OP])
        settings.setdefault("registry", registry(contacts=people))
        made.append(Room(tmp_path, rules, open_channels(tables), **settings))
        return made[-1]

    yield build
    for one in made:
        one.close()


def sms(hook: Hook) -> dict[str, Any]:
    return {"kind": "webhook", "name": "sms", "url": hook.url, "deadline_s": 5.0}


def test_a_smoke_mail_that_is_refused_goes_by_the_other_channel_and_is_said(
    room: Callable[..., Room], post: Post, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    post.refuse[LU.email] = f"550 no such user <{LU.email}>"
    bench = room([SMOKE], mail_table(post.port), sms(hook))
    bench.live(FIRE)
    ((_, message),) = hook.got
    assert message["stage"] == "suspected"
    assert message["place"]
    assert isinstance(message["incident"], int)
    assert isinstance(message["lat"], float), "for programs that read it"
    assert (message["to"], message["level"]) == ("+84900", "life")
    assert message["subject"].startswith(ONSET)
    health = bench.alerts.health()
    assert (health["given_up"], health["untold"], health["channels_ill"]) == (1, 0, [])
    assert any("not-told letter=1 level=life channel=email why='given up: 550" in line for line in caplog.messages)
    assert not any(LU.email in line for line in caplog.messages), "no address on the log"
    bench.idle(600, 10)
    bench.live(CALM)
    assert len(hook.got) == 2, "the end comes the same way"
    bench.idle(25 * 3_600, 600)
    assert bench.alerts.health()["given_up"] == 0, "a bad address makes nobody ill for ever"


def test_an_address_that_works_again_is_well(room: Callable[..., Room], post: Post) -> None:
    post.refuse[LU.email] = "550 no such user"
    bench = room([SMOKE], mail_table(post.port), contacts=[LU])
    bench.live(FIRE)
    assert bench.alerts.health()["given_up"] == 1
    post.refuse.clear()
    bench.live(CALM)
    assert post.subjects() == [f"{OVER}: nghi có khói / Now over: suspected smoke: cây 7K3MQ2, Suối Giàng"]
    assert bench.alerts.health()["given_up"] == 0


def test_within_a_minute_smoke_that_cannot_be_told_is_ill_and_logged(
    room: Callable[..., Room], post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    post.refuse[LU.email] = "452 4.2.2 mailbox full"
    bench = room([SMOKE], mail_table(post.port), contacts=[LU])
    bench.live(FIRE)
    bench.idle(60, 5)
    assert bench.alerts.health()["untold"] == 1
    assert sum("untold letter=1" in line for line in caplog.messages) == 1
    bench.idle(2 * 3_600, 120)
    assert bench.alerts.health()["given_up"] == 0, "a full mailbox is not given up"
    post.refuse.clear()
    bench.idle(120, 5)
    assert len(post.mails) == 1
    assert bench.alerts.health()["untold"] == 0


def test_a_channel_is_tried_at_the_start_and_its_fault_told_before_anything_burns(
    room: Callable[..., Room], tmp_path: Path, post: Post, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret", encoding="utf-8")
    hook.answer = 401
    table = mail_table(post.port) | {"user": "u", "password_file": str(secret)}
    bench = room([SMOKE], table, sms(hook))
    bench.step()
    health = bench.alerts.health()
    assert health["channels_ill"] == ["email", "sms"]
    assert "AUTH" in health["channels"]["email"]["why"]
    assert "401" in health["channels"]["sms"]["why"]
    bench.idle(600, 5)
    assert sum("channel-ill channel=email" in line for line in caplog.messages) == 1, "a change, not each try"
    hook.answer = 200
    bench.idle(900, 30)
    assert bench.alerts.health()["channels_ill"] == ["email"]
    assert any("channel-well channel=sms" in line for line in caplog.messages)
    assert post.mails == hook.got == []


@pytest.mark.parametrize("step_s", [-86_400, 86_400])
def test_a_clock_that_is_put_right_by_a_day_does_not_stop_mail(
    room: Callable[..., Room], post: Post, step_s: int
) -> None:
    post.refuse[LU.email] = "450 busy"
    bench = room([SMOKE], mail_table(post.port), contacts=[LU])
    bench.live(FIRE)
    bench.idle(30, 5)
    bench.clock._utc_ms += 1_000 * step_s
    post.refuse.clear()
    bench.idle(120, 5)
    assert len(post.mails) == 1
    for n in range(12):  # and what comes afterwards is told, too
        bench.clock.advance(60)
        bench.send([((bench.clock.utc_ms() - bench.at(0)) / 1000, 80.0 if n < 6 else 10.0)])
    bench.idle(900, 60)
    assert len(post.mails) >= 2


def test_what_is_over_before_it_could_be_told_is_told_as_over(room: Callable[..., Room]) -> None:
    post = Post(free_port())
    bench = room([SMOKE], mail_table(post.port), contacts=[LU])
    bench.live(FIRE)
    bench.live(CALM)
    bench.idle(3 * 3_600, 600)  # nobody listens on the port all the while
    with serving(post):
        bench.idle(300, 5)
    (subject,) = post.subjects()
    assert subject.startswith(OVER)
    text = post.mails[0][1].get_content()
    assert re.search(r"Tin này đến chậm 1[89]\d phút", text)
    assert re.search(r"This message is 1[89]\d min late", text)


def test_a_gateway_heard_every_six_minutes_is_told_less_and_less_often(room: Callable[..., Room], post: Post) -> None:
    rule = SILENT | {"clear_s": 0.0}  # each word of the gateway ends it, so that only what is told is damped
    bench = room([rule], mail_table(post.port))
    bench.alerts.listening(True)
    bench.alerts.heard("sg-01", bench.clock.utc_ms())
    for _ in range(6 * 10):
        bench.idle(360, 180)
        bench.alerts.heard("sg-01", bench.clock.utc_ms())
    assert 7 <= len(post.mails) <= 8, "of a hundred and twenty changes in six hours"
    assert "lần trong 24 giờ qua" in post.mails[-1][1].get_content()


def test_fifty_nodes_of_a_zone_are_one_incident_and_one_letter(room: Callable[..., Room], post: Post) -> None:
    hung = [bound(f"sg-{k:02d}", "smoke-1", "zone", "suoi-giang") for k in range(50)]
    whole = registry(contacts=[LU])
    whole.bindings[:] = hung
    bench = room([SMOKE], mail_table(post.port), registry=whole)
    for n in range(6):
        bench.clock.advance(60)
        for k in range(50):
            at_s = (bench.clock.utc_ms() - bench.at(0)) / 1000
            bench.send([(at_s, 400.0)], gateway=f"sg-{k:02d}", step=k == 0 and n > 3)
        bench.step()
    bench.idle(60, 5)
    assert sorted({one.head for one in bench.alerts.incidents(200)}) == [1], "of fifty series"
    assert len(post.mails) == 1


class Hung:
    """A channel that comes back when a test lets it: a name server that does not answer, say."""

    deadline_s = 0.2

    def __init__(self) -> None:
        self.go_on, self.calls = threading.Event(), 0

    def send(self, message: Message) -> None:
        self.calls += 1
        self.go_on.wait(30)

    def check(self) -> None:
        self.send(Message("", 0, "", "", ""))


def test_a_channel_that_never_comes_back_costs_no_other_and_few_threads(
    tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "GRACE_S", 0.1)
    monkeypatch.setattr(deliver, "FIRST_S", 0.05)
    monkeypatch.setattr(office, "IDLE_S", 0.05)
    hung = Hung()
    named = [Named("email", "email", hung), *open_channels([sms(hook)])]
    bench = Room(tmp_path, [SMOKE], named, clock=SystemClock(), registry=registry(contacts=[LU]))
    others = set(threading.enumerate())  # those that tests before this one left behind
    with bench.running():
        now_ms = bench.clock.utc_ms()
        bench.alerts.offer(batch(1, [(now_ms - 240_000 + 60_000 * n, 80.0) for n in range(5)]), now_ms)
        until(lambda: hook.got, within_s=5)
        assert bench.alerts.health()["channels"]["email"]["why"].startswith("it has not come back")
        until(lambda: hung.calls == deliver.LEFT_BEHIND + 1)
        own = set(threading.enumerate()) - others
        assert sum(one.name == "channel-email" for one in own) == deliver.LEFT_BEHIND + 1
        hung.go_on.set()
        until(lambda: not bench.alerts.health()["channels_ill"])
    bench.close()


def test_a_faulty_channel_is_ill_and_costs_only_itself(tmp_path: Path, hook: Hook) -> None:
    class Faulty(Hung):
        def send(self, message: Message) -> None:
            raise KeyError("a defect")

    named = [Named("email", "email", Faulty()), *open_channels([sms(hook)])]
    bench = Room(tmp_path, [SMOKE], named, registry=registry(contacts=[LU]))
    bench.live(FIRE)
    assert len(hook.got) == 1
    assert "KeyError" in bench.alerts.health()["channels"]["email"]["why"]
    bench.close()


def test_the_most_urgent_letter_is_carried_first(room: Callable[..., Room], post: Post) -> None:
    """Three hundred letters about comfort wait when smoke comes; the server takes one at a time."""
    people = [LU, *(Contact(f"o{n}", "operator", f"o{n}@example.vn") for n in range(30))]
    bench = room([SMOKE, SILENT], mail_table(post.port), contacts=people)
    bench.alerts.listening(True)
    bench.alerts.heard("gw-1", bench.clock.utc_ms())
    post.refuse = {person.email: "421 closing" for person in people}
    bench.idle(305, 5)
    assert bench.alerts.health()["waiting"] == 30
    bench.send([(200.0 + 45 * n, 90.0) for n in range(5)])
    assert post.mails == []
    post.refuse.clear()
    bench.idle(70, 5)
    assert post.mails[0][0] == LU.email
    assert len(post.mails) == 31


def test_a_letter_for_a_channel_that_is_gone_is_given_up_or_goes_elsewhere(
    room: Callable[..., Room], post: Post, hook: Hook
) -> None:
    post.refuse[LU.email] = "450 busy"
    bench = room([SMOKE], mail_table(post.port))
    bench.live(FIRE)
    bench.named = open_channels([sms(hook)])
    bench.restart()
    bench.step()
    assert [message["to"] for _, message in hook.got] == ["+84900"]
    assert bench.alerts.health()["waiting"] == 0


def test_contacts_have_addresses_by_channel(tmp_path: Path) -> None:
    rows = (
        "code,name,roles,email,lang,addresses",
        "p1,A,fire-watch,a@example.org,,sms:+849 zalo:47",
        "p2,B,fire-watch,,,sms:+848",
        "p3,C,fire-watch,,,",
        "p4,D,fire-watch,d@example.org,,sms",
        "p5,E,fire-watch,e@example.org,,sms:1 sms:2",
    )
    (tmp_path / "people.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    garden = load(tmp_path)
    assert [(one.name, one.email, one.addresses) for one in garden.contacts] == [
        ("A", "a@example.org", {"sms": "+849", "zalo": "47"}),
        ("B", "", {"sms": "+848"}),
    ]
    assert [problem.line for problem in garden.problems] == [4, 5, 6]
    assert "channel:address, each channel once" in garden.problems[-1].words


def test_who_was_told_by_one_channel_is_not_told_again_by_the_other(
    room: Callable[..., Room], post: Post, hook: Hook
) -> None:
    post.refuse[LU.email] = "450 busy"
    bench = room([SMOKE], mail_table(post.port), sms(hook))
    bench.live(FIRE)
    assert len(hook.got) == 1
    post.refuse.clear()
    bench.idle(600, 5)
    assert post.mails == []
    assert bench.alerts.health()["waiting"] == 0


def test_somebody_whom_no_channel_reaches_is_an_illness_until_a_letter_does(
    room: Callable[..., Room], post: Post, hook: Hook
) -> None:
    post.refuse[LU.email] = "550 no such user"
    hook.answer = 422
    bench = room([SMOKE], mail_table(post.port), sms(hook))
    bench.live(FIRE)
    health = bench.alerts.health()
    assert (health["unreached"], health["given_up"], health["waiting"]) == (1, 2, 0)
    hook.answer = 200
    bench.live(CALM)
    assert hook.got[0][1]["subject"].startswith(OVER)
    assert bench.alerts.health()["unreached"] == 0


@pytest.mark.parametrize(
    ("answer", "people", "told"),
    [
        ("550 no such user", [LU, OP], [OP.email]),  # at once
        ("452 4.2.2 mailbox full", [LU, OP], [OP.email]),  # within a minute
        ("550 no such user", [LU, replace(OP, role="telecom")], [OP.email]),  # whoever there is
        ("550 no such user", [LU, replace(LU, email="my@example.vn"), OP], ["my@example.vn"]),  # one of its role knows
    ],
)
def test_smoke_that_reaches_nobody_of_its_role_is_told_to_others_once(
    room: Callable[..., Room], post: Post, answer: str, people: list[Contact], told: list[str]
) -> None:
    post.refuse[LU.email] = answer
    bench = room([SMOKE, SILENT], mail_table(post.port), contacts=people)
    bench.live(FIRE)
    bench.idle(60, 20)
    assert [to for to, _ in post.mails] == told
    bench.restart()
    bench.idle(120, 60)
    assert [to for to, _ in post.mails] == told
    bench.live(CALM)
    assert [to for to, _ in post.mails] == 2 * told, "and its end"


def test_who_cannot_be_reached_is_known_before_anything_burns(room: Callable[..., Room], hook: Hook) -> None:
    people = [Contact("Lử", "fire-watch", "", addresses={"smss": "+84900"}), OP]
    bench = room([SMOKE, SILENT], sms(hook), contacts=people)
    bench.step()
    health = bench.alerts.health()
    assert health["roles_unreached"] == ["fire-watch", "operator"]
    assert health["contacts_unreached"] == ["Lử", "Op"]


def test_a_letter_whose_words_are_wrong_is_sent_in_bare_facts(
    room: Callable[..., Room], post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: Any) -> str:
        raise KeyError("a word that is not there")

    bench = room([SMOKE], mail_table(post.port))
    monkeypatch.setattr(words, "text", wrong)
    bench.live(FIRE)
    assert post.mails[0][1]["Subject"] == "[gocche] nghi có khói / suspected smoke (1)"
    assert "event=onset incident=1 rule=smoke" in post.mails[0][1].get_content()


def test_a_letter_about_many_has_one_line_in_the_journal(room: Callable[..., Room], post: Post) -> None:
    bench = room([SILENT], mail_table(post.port))
    bench.alerts.listening(True)
    for number in range(60):
        bench.alerts.heard(f"gw-{number:02d}", bench.clock.utc_ms())
    bench.idle(310, 5)
    (mail,) = post.subjects()
    assert mail.endswith("gw-00 (+59)")
    told = [row for row in events(bench.path, 0) if row[1] == "told"]
    assert len(told) == 1
    text = post.mails[0][1].get_content()
    assert "Trạm im lặng: 60 sự việc." in text
    assert text.count("gw-") == 2 * words.LISTED * 2, "place and device, in two languages"
    assert "… và 10 sự việc nữa" in text


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("lang", ["vi", "en"])
@pytest.mark.parametrize("tell", words.TELLS)
@pytest.mark.parametrize("rule", [SMOKE, SILENT, {"name": "off", "kind": "sensor", "quantity": "pm2_5"}])
def test_whatever_is_told_has_its_words(rule: dict[str, Any], tell: str, lang: str, n: int) -> None:
    (opened,) = open_rules([rule])
    said = {**opened.what}
    bases = {"limit": "readings", "absence": "absence", "sensor": "dead"}
    one = incident(1, rule=opened.name, kind=opened.kind, quantity=opened.quantity, basis=bases[opened.kind])
    one = replace(one, what_vi=said["vi"], what_en=said["en"], silent_ms=one.since_ms, until_ms=one.since_ms)
    items = [words.Item(one, opened, tell, 5)] * n
    subject, text = words.subject(items), words.text(items, lang, 600.0)
    assert "{" not in subject + text
    assert said[lang].casefold() in text.split("———")[0].casefold()
    assert text.count("5 ") >= 1
    assert len(text.split("\n———\n")) == 2


def test_the_room_is_ill_while_a_channel_cannot_tell(tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text(
        f'[data]\npath = "{tmp_path}"\n[garden]\npath = "{GARDEN}"\n[store]\nengine = "sqlite"\npath = "s.db"\n'
        f'[[channel]]\nkind = "email"\nhost = "127.0.0.1"\nport = {free_port()}\n',
        encoding="utf-8",
    )
    room = open_room("alerts", load_config(file), HandClock())
    alerts = room._alerts  # type: ignore[attr-defined]
    alerts.step()
    alerts._office.step()
    assert alerts._office.wait(10)
    alerts._office.step()
    assert "channels that cannot tell: email" in room.health()["why"]
    assert "post_faults" not in room.health()["look_at"]
    with alerts._journal.transaction() as db:
        db.execute(
            "INSERT INTO intent (at_ms, incident, tell, grade, due_s, fresh_s) VALUES (0, 99, 'end', 'life', 0, 0)"
        )
    alerts._office.step()
    assert "post_faults" in room.health()["look_at"]
    room.close()


def test_who_has_quiet_hours_is_woken_by_smoke_alone_and_told_the_rest_when_they_end(
    room: Callable[..., Room], post: Post, hook: Hook
) -> None:
    """Their quiet hours are 12:20 to 14:00; the garden's clock begins at 12:20."""
    both = [Contact("Lử", role, "lu@example.vn", addresses={"sms": "+84900"}, quiet=(740, 840)) for role in
            ("operator", "fire-watch")]  # fmt: skip
    bench = room([SMOKE, SILENT | {"clear_s": 0.0}], mail_table(post.port), sms(hook), contacts=both)
    bench.alerts.listening(True)
    for gateway in ("sg-01", "sg-02"):
        bench.alerts.heard(gateway, bench.clock.utc_ms())
    bench.idle(600, 60)
    assert len(bench.alerts.incidents(200)) == 2
    assert (post.subjects(), hook.got) == ([], [])
    bench.live([(600.0 + at_s, value) for at_s, value in FIRE])
    assert [subject.startswith(ONSET) for subject in post.subjects()] == [True]
    assert "giờ yên tĩnh" not in post.mails[0][1].get_content()
    bench.alerts.heard("sg-02", bench.clock.utc_ms())
    bench.restart()
    bench.alerts.listening(True)
    while bench.clock.utc_ms() < bench.at(6_000) - 60_000:
        bench.hear(60, 60, "sg-02")
    assert [subject for subject in post.subjects() if "TRẠM" in subject] == []
    bench.hear(120, 30, "sg-02")
    [told] = [mail.get_content() for _, mail in post.mails if "TRẠM" in str(mail["subject"])]
    assert "sg-01" in told
    assert "sg-02" not in told, "what is over by then is not told"
    assert "đã chờ đến hết giờ yên tĩnh" in told
    assert "chậm" not in told, "it is no delay"
    assert hook.got == [], "no other channel stands in for what is meant to wait"


def test_what_waited_because_its_reader_was_told_much_leaves_by_one_channel(tmp_path: Path, hook: Hook) -> None:
    """Two fires, far from each other, for somebody who is told of one suspicion in an hour."""
    both = Person(code="lu", name="Lử", addresses={"zalo": "1", "sms": "+84900"}, roles=("fire-watch",))
    garden = Registry({**nodes({"T1": 0.0, "T4": 0.1})._records, "person": [both], "duty": []})
    with Hook() as mails:
        named = open_channels([sms(mails) | {"name": "zalo"}, sms(hook)])
        bench = Room(tmp_path, [SMOKE], named, registry=garden, budget=1)
        for at_s, value in FIRE:
            bench.clock.advance(60)
            for gateway in ("sg-T1", "sg-T4"):
                bench.send([(at_s + 60, value)], gateway=gateway)
        assert len(mails.got) == 1
        bench.idle(3_700, 5)
        assert len(mails.got) == 2
        with bench.alerts._journal.reading() as db:
            assert db.execute("SELECT channel FROM letter").fetchall() == [("zalo",), ("zalo",)]
        bench.close()
