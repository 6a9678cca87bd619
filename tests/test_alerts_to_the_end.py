"""Whoever was told is told what becomes of it, through merging, crashes and wrong clocks; what burns again asks."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from cloud.alerts.channels import Message, Named, Retry
from cloud.alerts.journal import reading
from cloud.alerts.tell import outbox
from cloud.registry import Registry
from cloud.registry.people import Duty, Person
from tests.rules.garden import DAY, SILENT, SMOKE
from tests.test_alerts_again import nodes
from tests.test_alerts_chain import CHAIN, FIRE, Desk, roster
from tests.test_alerts_life import Kept, unhurried

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FALSE = "BÁO ĐỘNG GIẢ"
LU, HAI = "lu@example.vn", "hai@example.vn"


class Keeping(Desk):
    """A desk whose channels keep what they are given."""

    def __init__(self, folder: Path, *, channels: tuple[str, ...] = ("email",), **more: Any) -> None:
        self.kept, self._names = Kept(), channels
        rules = more.pop("rules", [SMOKE])
        super().__init__(folder, rules, None, **({"registry": roster()} | CHAIN | more))
        unhurried(self.alerts)
        self.step()

    def _channels(self) -> list[Named]:
        return [Named(name, "email" if name == "email" else "sms_modem", self.kept) for name in self._names]

    def told(self, since: int = 0) -> list[tuple[str, str]]:
        """Return (address, the first words of the subject)."""
        subjects = [(one.to, one.subject.partition("] ")[2]) for one in self.kept.got[since:]]
        return [(to, subject.partition(" /")[0].partition(" (")[0].partition(":")[0]) for to, subject in subjects]

    def burn(self, *gateways: str, minutes: int = 6, value: float = 90.0) -> None:
        """Let it smoke at these from now on."""
        for _ in range(minutes):
            self.clock.advance(60)
            at_s = (self.clock.utc_ms() - self.at(0)) / 1000
            for gateway in gateways:
                self.send([(at_s, value)], gateway=gateway, step=False)
            self.step()


@contextmanager
def keeping(folder: Path, **more: Any) -> Iterator[Keeping]:
    made = Keeping(folder, **more)
    try:
        yield made
    finally:
        made.close()


def village(**kinds: list[Any]) -> Registry:
    return Registry(_kinds(roster()) | kinds)


def _kinds(whole: Registry) -> dict[str, list[Any]]:
    return {kind: list(rows) for kind, rows in whole._records.items()}


def two_hamlets() -> Registry:
    """Return a garden with two nodes far from each other, and for each of them somebody else who is told first."""
    kinds = _kinds(nodes({"T1": 0.0, "T4": 0.06}))
    kinds["zone"].append(replace(kinds["zone"][0], code="z2"))
    kinds["tree"] = [replace(one, zone="z2") if one.code == "T4" else one for one in kinds["tree"]]
    kinds["person"] = [*(replace(one, roles=()) for one in kinds["person"] if one.code == "d0")]
    kinds["person"].append(Person(code="h2", name="Hà Hai", email=HAI))
    zones = (("d0", "suoi-giang"), ("h2", "z2"))
    kinds["duty"] = [Duty(person=who, rung="hamlet", zone=zone, valid_from=DAY) for who, zone in zones]
    return Registry(kinds)


def test_who_was_told_of_what_was_merged_is_told_that_it_was_none(tmp_path: Path) -> None:
    with keeping(tmp_path, registry=two_hamlets()) as desk:
        desk.burn("sg-T1", "sg-T4")
        assert sorted(desk.told()) == [(HAI, "NGHI CÓ KHÓI"), (LU, "NGHI CÓ KHÓI")]
        assert desk.ask("merge", incident=2, into=1)["ok"]
        assert desk.ask("close", incident=1, closed_as="cooking")["ok"]
        desk.idle(30)
        assert sorted(desk.told(2)) == [(HAI, FALSE), (LU, FALSE)]


def test_what_is_accepted_and_not_written_down_is_told_as_false_when_it_was_closed_meanwhile(tmp_path: Path) -> None:
    with keeping(tmp_path, tells=False) as desk:
        desk.live(FIRE)
        office = desk.alerts._office
        office._sorter.sort()
        (row,) = office._outbox.waiting()
        assert office._paper.compose(row, 0.0)  # the network takes it, and then the power fails
        desk.restart()
        assert desk.ask("close", incident=1, closed_as="cooking")["ok"]
        desk._tells = True
        desk.idle(30)
        assert desk.told() == [(LU, FALSE)], "once, though two letters waited"


def test_letters_about_what_goes_on_are_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "KEPT", 20)
    monkeypatch.setattr(outbox, "PRUNED_AT_ONCE", 1)
    with keeping(tmp_path) as desk:
        desk.live(FIRE)
        desk.ask("acknowledge", incident=1)

        def others(n: int) -> None:
            for _ in range(n):
                number = desk.ask("drill", place="zone:suoi-giang")["number"]
                desk.ask("close", incident=number, closed_as="drill")
            desk.clock.advance(90_000)

        others(30)
        others(1)
        with reading(desk.path) as db:
            kept = [number for (number,) in db.execute("SELECT id FROM letter ORDER BY id")]
            assert db.execute("SELECT count(DISTINCT letter) FROM about").fetchone()[0] == len(kept)
        assert kept[0] == 1
        assert len(kept) < 40
        before = len(desk.kept.got)
        desk.ask("close", incident=1, closed_as="cooking")
        desk.idle(30)
        assert (LU, FALSE) in desk.told(before)
        others(30)
        others(1)
        with reading(desk.path) as db:
            assert db.execute("SELECT count(*) FROM about WHERE incident = 1").fetchone()[0] == 0, "a day later"


def test_what_is_to_be_told_survives_a_start_with_a_clock_that_is_a_year_ahead(tmp_path: Path) -> None:
    with keeping(tmp_path, tells=False) as desk:
        desk.live(FIRE)
        desk.alerts.close()
        desk.clock.step(400 * 86_400)
        desk._tells = True
        desk.restart()
        desk.step()
        assert (LU, "NGHI CÓ KHÓI") in desk.told()


@pytest.mark.parametrize("shared", ["mailbox", "name"])
def test_two_who_share_a_mailbox_or_a_name_are_two(tmp_path: Path, shared: str) -> None:
    mail = "xa@example.vn" if shared == "mailbox" else ""
    people = [
        Person(code=code, name=name if mail else "Giàng A Páo", roles=("commune",), email=mail, addresses={"sms": sms})
        for code, name, sms in (("a", "Giàng A Páo", "+84911111111"), ("b", "Sùng Thị Mai", "+84922222222"))
    ]
    duties = [
        Duty(person=one.code, rung=rung, valid_from=DAY)
        for one, rung in zip(people, ("hamlet", "commune"), strict=True)
    ]
    with keeping(tmp_path, registry=village(person=people, duty=duties), channels=("sms", "email")) as desk:
        desk.live(FIRE)
        desk.idle(500)
        first, second = "+84911111111", "+84922222222"
        assert desk.told() == [(first, "NGHI CÓ KHÓI"), (first, "CHƯA AI TRẢ LỜI"), (second, "CHƯA AI TRẢ LỜI")]
        desk.ask("close", incident=1, closed_as="cooking")
        desk.idle(30)
        assert sorted(desk.told(3)) == [(first, FALSE), (second, FALSE)]


def test_new_smoke_beside_what_is_under_control_is_told(tmp_path: Path) -> None:
    with keeping(tmp_path, registry=nodes({"T1": 0.0, "T2": 0.006})) as desk:
        desk.burn("sg-T1")
        assert desk.ask("confirm", incident=1)["ok"]
        assert desk.ask("control", incident=1)["ok"]
        before = len(desk.kept.got)
        desk.burn("sg-T1", "sg-T2")
        assert desk.told(before) == [(LU, "NGHI CÓ KHÓI")]
        assert [(one.id, one.part_of, one.stage) for one in desk.alerts.incidents()] == [
            (2, None, "suspected"),
            (1, None, "under-control"),
        ]


def test_what_is_under_control_may_burn_again_and_asks_again(tmp_path: Path) -> None:
    with keeping(tmp_path) as desk:
        desk.live(FIRE)
        for act in ("confirm", "control", "confirm"):
            assert desk.ask(act, incident=1)["ok"]
        assert [words for _, words in desk.told()] == [
            "NGHI CÓ KHÓI",
            "ĐÃ XÁC NHẬN LÀ CHÁY",
            "ĐÃ KHỐNG CHẾ",
            "ĐÃ XÁC NHẬN LÀ CHÁY",
        ]
        desk.idle(1_300, 10)
        assert desk.told()[-1] == (LU, "CHƯA AI TRẢ LỜI")
        assert desk.ask("control", incident=1)["ok"]
        assert desk.ask("escalate", incident=1)["why"] == "is_controlled"
        before = len(desk.kept.got)
        desk.ask("acknowledge", incident=1)
        desk.idle(3_600, 60)
        assert len(desk.kept.got) == before


@pytest.mark.parametrize("act", ["confirm", "control", "escalate", "close", "merge", "split"])
def test_what_is_no_fire_asks_nobody_and_is_not_led_through_the_stages(tmp_path: Path, act: str) -> None:
    with keeping(tmp_path, rules=[SILENT]) as desk:
        desk.alerts.listening(True)
        desk.hear(60)
        desk.idle(600, 10)
        assert [one.lives for one in desk.alerts.incidents()] == [False]
        before = len(desk.kept.got)
        assert desk.ask("acknowledge", incident=1)["ok"]
        assert desk.ask(act, incident=1, closed_as="unknown")["why"] == "no_fire"
        desk.idle(3_600, 60)
        assert desk.told(before) == []


def test_an_incident_is_given_to_somebody_who_can_be_told_and_to_nobody_else(tmp_path: Path) -> None:
    officer = Person(code="of", name="Trực ban", email="of@example.vn", access="officer")
    mute = Person(code="mu", name="Không số", access="officer")
    watch = Person(code="mute", name="Trực không máy")
    known = _kinds(roster())
    rows = {"person": [*known["person"], officer, mute, watch]}
    rows["duty"] = [*known["duty"], Duty(person="mute", rung="province", valid_from=DAY)]
    with keeping(tmp_path, registry=village(**rows)) as desk:
        desk.live(FIRE)
        for nobody in ("", "mu", "who-left", "mute"):
            assert desk.ask("assign", incident=1, to=nobody)["why"] == "no_person"
        assert desk.ask("assign", incident=1, to="of")["ok"]
        assert desk.told()[-1] == ("of@example.vn", "GIAO CHO BẠN")
        assert not desk.head.untold


def test_an_exercise_that_nobody_closes_is_over_after_an_hour(tmp_path: Path) -> None:
    with keeping(tmp_path) as desk:
        number = desk.ask("drill", place="zone:suoi-giang")["number"]
        desk.burn("sg-01")
        desk.idle(5_000, 20)
        drill, fire = reversed(desk.alerts.incidents())
        assert (drill.id, drill.going, drill.closed_as, drill.open) == (number, False, "drill", False)
        assert fire.going
        drilled = [one.subject for one in desk.kept.got if one.incident == number]
        assert all(subject.startswith("[DIỄN TẬP / EXERCISE]") for subject in drilled)
        assert "ĐÃ ĐÓNG" in drilled[-1]
        assert not any("EXERCISE" in one.subject for one in desk.kept.got if one.incident == fire.id)
        before = len(desk.kept.got)
        desk.idle(3_600, 60)
        assert {one.incident for one in desk.kept.got[before:]} == {fire.id}


def test_an_exercise_that_is_under_control_is_over_after_an_hour_and_asks_nobody_until_then(tmp_path: Path) -> None:
    with keeping(tmp_path) as desk:
        number = desk.ask("drill", place="zone:suoi-giang")["number"]
        assert desk.ask("control", incident=number)["ok"]
        before = len(desk.kept.got)
        desk.idle(3_500, 50)
        assert (desk.head.stage, len(desk.kept.got)) == ("under-control", before)
        desk.idle(200, 20)
        assert (desk.head.stage, desk.head.closed_as, desk.head.open) == ("closed", "drill", False)
        assert {words for _, words in desk.told(before)} == {"[gocche] ĐÃ ĐÓNG"}


@pytest.mark.parametrize(
    "junk", ["A\r\nBcc: x@y.vn\r\n\r\nB", "A\x00\x1b[31mB", "A\u202e\u2028\ud7ff\ue000B"], ids=ascii
)
def test_what_people_write_leaves_nothing_in_letters_that_cannot_be_shown(tmp_path: Path, junk: str) -> None:
    with keeping(tmp_path) as desk:
        desk.live(FIRE)
        assert desk.ask("relabel", incident=1, place_vi=junk)["ok"]
        assert desk.ask("silence", scope="*", words=junk, until_ms=desk.clock.utc_ms() + 600_000)["ok"]
        assert desk.ask("confirm", incident=1, words=junk)["ok"]
        last = desk.kept.got[-1]
        assert last.subject.isprintable()
        assert last.place.isprintable()
        assert all(char.isprintable() or char == "\n" for char in last.text)
        assert desk.ask("relabel", incident=1, place_vi="\x00\u202e")["why"] == "no_words"


def test_by_a_clock_that_was_never_set_the_chain_has_its_people(tmp_path: Path) -> None:
    with keeping(tmp_path) as desk:
        desk.clock.step(-desk.clock.utc_ms() / 1000)
        desk.burn("sg-01", minutes=5)
        desk.idle(2_000, 10)
        assert [to for to, _ in desk.told()] == [LU, LU, "xa@example.vn", "kl@example.vn", "t@example.vn"]


def test_the_letters_of_a_long_chain_delay_no_new_suspicion_of_the_same_sensor(tmp_path: Path) -> None:
    with keeping(tmp_path, registry=nodes({"T1": 0.0})) as desk:
        desk.burn("sg-T1")
        desk.idle(7_200, 60)
        assert desk.ask("confirm", incident=1)["ok"]
        assert desk.ask("control", incident=1)["ok"]
        desk.burn("sg-T1", minutes=10, value=5.0)
        before = len(desk.kept.got)
        desk.burn("sg-T1", minutes=5)
        assert desk.told(before) == [(LU, "NGHI CÓ KHÓI")]


class Twice(Keeping):
    """A desk with two channels that keep apart what they are given, of which the first may be away."""

    def _channels(self) -> list[Named]:
        self.sms = getattr(self, "sms", None) or Away()
        return [Named("sms", "sms_modem", self.sms), Named("email", "email", self.kept)]


class Away(Kept):
    """A channel that takes nothing while it is away."""

    away = True

    def send(self, message: Message) -> None:
        if self.away:
            raise Retry("no network", everybody=True)
        super().send(message)


def test_who_was_told_by_what_stood_in_is_told_the_end_there(tmp_path: Path) -> None:
    people = [Person(code="a", name="Giàng A Páo", email=LU, addresses={"sms": "+84911111111"})]
    duty = [Duty(person="a", rung="hamlet", valid_from=DAY)]
    desk = Twice(tmp_path, registry=village(person=people, duty=duty))
    try:
        desk.live(FIRE)
        assert desk.told() == [(LU, "NGHI CÓ KHÓI")]
        assert desk.ask("acknowledge", incident=1)["ok"]
        desk.sms.away = False
        desk.idle(60)
        assert desk.ask("close", incident=1, closed_as="cooking")["ok"]
        desk.idle(60)
        assert desk.told() == [(LU, "NGHI CÓ KHÓI"), (LU, FALSE)]
        assert desk.sms.got == []
    finally:
        desk.close()


def test_smoke_everywhere_at_once_is_compared_with_what_is_near_alone(tmp_path: Path) -> None:
    spots = {f"N{n}": 0.02 * n for n in range(80)} | {"M1": 0.01}
    with keeping(tmp_path, registry=nodes(spots)) as desk:
        asked = list[str]()
        desk.alerts._journal.db.set_trace_callback(asked.append)
        desk.burn(*(f"sg-{name}" for name in spots))
        desk.alerts._journal.db.set_trace_callback(None)
        parts = [query for query in asked if "WHERE part_of = " in query and "incident IN" not in query]
        heads = [one for one in desk.alerts.incidents() if one.part_of is None]
        assert (len(heads), len(desk.alerts.incidents())) == (80, 81), "what is a kilometre away is the same fire"
        assert len(parts) < 10 * len(spots), "not of each with each"
