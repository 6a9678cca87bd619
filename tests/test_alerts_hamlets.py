"""A hamlet is without service when all its modems are: told once, and its return once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.rules import open_rules
from cloud.clock import hanoi
from cloud.registry import Registry
from cloud.registry.kinds import Binding, Commune, Hamlet, Maintenance, Person, Province
from tests.rules.garden import DAY, SIGNAL, SILENT, Bench, Post, batch, bound, registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

BUSY_S = 600


def garden(
    modems: int = 2,
    hamlets: int = 1,
    *,
    apart: bool = False,
    way_out: bool = False,
    maintenance: Sequence[Maintenance] = (),
) -> Registry:
    """Return hamlets with so many modems each, at one gateway or each at its own."""
    bindings: list[Binding] = []
    for hamlet in range(hamlets):
        for n in range(modems):
            gateway = f"sg-{hamlet:03d}" if not apart else f"sg-{hamlet:03d}-{n}"
            bindings.append(bound(gateway, f"modem-{n}", "hamlet", f"h{hamlet:03d}", way_out=way_out))
    return Registry(
        {
            "province": [Province(code="v01", name="Lào Cai", valid_from=DAY)],
            "commune": [Commune(code="c01", name="xã Chế Tạo", province="v01", valid_from=DAY)],
            "hamlet": [
                Hamlet(code=f"h{n:03d}", name=f"Bản {n}", commune="c01", lat=21.7, lon=104.1, valid_from=DAY)
                for n in range(hamlets)
            ],
            "person": [Person(code="p1", name="Giàng Thị Mỷ", roles=("telecom", "operator"), email="my@example.vn")],
            "binding": bindings,
            "maintenance": list(maintenance),
        }
    )


class Valley(Bench):
    """Modems that say each 20 s how they are registered; None: the poll failed."""

    def say(self, seconds: float, **codes: float | None) -> None:
        self.say_all(seconds, {("sg-000", name.replace("_", "-")): code for name, code in codes.items()})

    def say_all(self, seconds: float, codes: Mapping[tuple[str, str], float | None], every_s: float = 20.0) -> None:
        for _ in range(round(seconds / every_s)):
            self.clock.advance(every_s)
            for (gateway, channel), code in codes.items():
                kind: dict[str, Any] = {"gateway": gateway, "channel": channel, "quantity": "registration"}
                self.alerts.offer(batch(self.seq, [(self.clock.utc_ms(), code)], **kind), self.clock.utc_ms())
                self.seq += 1
            self.step()

    @property
    def open(self) -> list[str]:
        """The devices of what is open, oldest first."""
        return [f"{one.gateway}/{one.channel}" for one in reversed(self.alerts.incidents()) if one.open]


def opened(folder: Path, post: Post, **garden_of: Any) -> Valley:
    made = Valley(folder, [SIGNAL, SILENT], post.port, registry=garden(**garden_of))
    made.alerts.listening(True)
    return made


@pytest.fixture
def valley(tmp_path: Path, post: Post) -> Iterator[Valley]:
    made = opened(tmp_path, post)
    yield made
    made.close()


def test_one_modem_of_two_without_service_is_written_down_and_told_to_nobody(valley: Valley, post: Post) -> None:
    valley.say(60, modem_0=1, modem_1=1)
    valley.say(300, modem_0=2, modem_1=1)
    assert (valley.open, post.subjects()) == (["sg-000/modem-0"], [])
    assert valley.alerts.incidents()[0].muted.splitlines()[1].startswith("the hamlet has several modems")
    valley.say(300, modem_0=1, modem_1=1)
    assert (valley.open, post.subjects()) == ([], [])


def test_a_hamlet_is_lost_with_its_last_modem_and_back_with_its_first(valley: Valley, post: Post) -> None:
    valley.say(60, modem_0=1, modem_1=1)
    valley.say(300, modem_0=2, modem_1=1)
    lost_ms = valley.clock.utc_ms()
    valley.say(80, modem_0=2, modem_1=2)
    valley.idle(10)
    assert post.subjects() == ["[gocche] MẤT SÓNG / No mobile service: Bản 0, xã Chế Tạo, Lào Cai"]
    said = post.mails[0][1].get_content()
    assert "không modem nào đo được ở đây còn sóng" in said
    assert "sg-000/modem-0, sg-000/modem-1" in said
    assert "cháy" not in said.lower()
    (hamlet,) = [one for one in valley.alerts.incidents() if one.gateway == "hamlet:h000"]
    assert (hamlet.since_ms - lost_ms, hamlet.grade, hamlet.basis) == (20_000, "service", "modems")
    valley.restart()
    valley.alerts.listening(True)
    valley.say(120, modem_0=2, modem_1=1)
    valley.idle(10)
    assert post.subjects()[1:] == ["[gocche] ĐÃ HẾT: mất sóng / Ended: no mobile service: Bản 0, xã Chế Tạo, Lào Cai"]
    assert valley.open == ["sg-000/modem-0"], "that one still is, and is no news"
    valley.say(BUSY_S, modem_0=2, modem_1=1)
    assert len(post.mails) == 2


def test_a_modem_that_says_nothing_is_neither_with_nor_without_service(valley: Valley, post: Post) -> None:
    valley.say(60, modem_0=1, modem_1=1)
    valley.say(BUSY_S, modem_0=1, modem_1=None)  # its port is busy
    assert valley.open == []
    valley.say(100, modem_0=2, modem_1=None)
    assert post.subjects() == ["[gocche] MẤT SÓNG / No mobile service: Bản 0, xã Chế Tạo, Lào Cai"]
    assert valley.open == ["sg-000/modem-0", "hamlet:h000/"]
    valley.say(BUSY_S, modem_0=None, modem_1=None)
    assert len(post.mails) == 1, "no data is no recovery either"


def test_no_data_from_all_modems_is_no_loss_of_service(valley: Valley, post: Post) -> None:
    valley.say(60, modem_0=1, modem_1=1)
    valley.say(3_600, modem_0=None, modem_1=None)
    assert (valley.open, post.subjects()) == ([], [])


def test_a_modem_hung_up_or_taken_down_in_between_leaves_nothing_open(valley: Valley, post: Post) -> None:
    valley.say(60, modem_0=1, modem_1=1)
    valley.say(200, modem_0=2, modem_1=2)
    assert len(post.mails) == 1
    valley.registry = garden(modems=3)
    valley.restart()
    valley.alerts.listening(True)
    valley.say(120, modem_0=2, modem_1=2, modem_2=1)
    assert [one[:14] for one in post.subjects()[1:]] == ["[gocche] ĐÃ HẾ"]
    valley.registry = garden(modems=1)  # the one with service was taken down again: what is left has none
    valley.restart()
    valley.alerts.listening(True)
    valley.say(120, modem_0=2)
    assert [one[:14] for one in post.subjects()[2:]] == ["[gocche] MẤT S"]
    valley.say(120, modem_0=1)
    valley.idle(10)
    assert [one[:14] for one in post.subjects()[3:]] == ["[gocche] ĐÃ HẾ"]


@pytest.mark.journey  # seconds of a core
def test_a_hundred_flaps_of_a_hamlet_are_told_less_and_less_often(valley: Valley, post: Post) -> None:
    valley.say(60, modem_0=1, modem_1=1)
    for _ in range(100):
        valley.say(80, modem_0=2, modem_1=2)
        valley.say(80, modem_0=1, modem_1=2)
    assert len(post.mails) <= 12, post.subjects()
    valley.say_all(6 * 3_600, {("sg-000", "modem-0"): 1.0, ("sg-000", "modem-1"): 1.0}, every_s=240)
    assert post.subjects()[-1].startswith(("[gocche] ĐÃ HẾT", "[gocche] ĐÃ QUA")), "the last word is how it is"


def test_short_searches_a_hundred_times_over_are_two_letters_at_most(valley: Valley, post: Post) -> None:
    """Service that comes for less than it takes to be sure of it is one loss."""
    valley.say(60, modem_0=1, modem_1=1)
    for _ in range(100):
        valley.say(80, modem_0=2, modem_1=2)
        valley.say(40, modem_0=1, modem_1=2)
    valley.say(300, modem_0=1, modem_1=1)
    assert [one[:14] for one in post.subjects()] == ["[gocche] MẤT S", "[gocche] ĐÃ HẾ"]


@pytest.mark.journey  # seconds of a core
def test_a_whole_commune_without_service_is_a_letter_and_not_173(tmp_path: Path, post: Post) -> None:
    valley = opened(tmp_path, post, modems=2, hamlets=173)
    modems = [(f"sg-{hamlet:03d}", f"modem-{n}") for hamlet in range(173) for n in range(2)]
    valley.say_all(60, dict.fromkeys(modems, 1.0))
    valley.say_all(300, dict.fromkeys(modems, 2.0))
    heads = [one for one in valley.alerts.incidents(1_000) if one.gateway.startswith("hamlet:")]
    assert (len(heads), len(post.mails)) == (173, 1)
    said = post.mails[0][1].get_content()
    assert "173" in said
    assert "xã Chế Tạo" in said
    valley.say_all(300, dict.fromkeys(modems, 1.0))
    assert len(post.mails) == 2
    assert all(one.state == "ended" for one in valley.alerts.incidents(1_000))
    valley.close()


def test_a_modem_under_maintenance_does_not_vouch_for_its_hamlet(valley: Valley, post: Post) -> None:
    """Somebody tries it on a mast elsewhere: what it says then is not the hamlet's service."""
    valley.say(60, modem_0=1, modem_1=1)
    now = hanoi(valley.clock.utc_ms()).replace(microsecond=0)
    rest = Maintenance(gateway="sg-000", channel="modem-1", starts=now, ends=now + timedelta(hours=4))
    valley.registry = garden(maintenance=[rest])
    valley.restart()
    valley.alerts.listening(True)
    valley.say(100, modem_0=2, modem_1=1)
    valley.idle(10)
    assert len(post.mails) == 1


def test_with_one_modem_its_loss_is_the_hamlets(tmp_path: Path, post: Post) -> None:
    bench = Valley(tmp_path, [SIGNAL, SILENT], post.port, registry=registry())
    bench.alerts.listening(True)
    bench.say_all(60, {("sg-01", "modem-1"): 1.0})
    bench.say_all(100, {("sg-01", "modem-1"): 2.0})
    assert bench.open == ["sg-01/modem-1"]
    assert post.subjects("my@example.vn") == ["[gocche] MẤT SÓNG / No mobile service: Háng Tày, xã Chế Tạo, Lào Cai"]
    bench.close()


def test_lost_service_wakes_nobody_by_night_unless_that_is_wanted(tmp_path: Path, post: Post) -> None:
    """At 23:00 who has no quiet hours of their own sleeps all the same; at 6:00 they read how it is."""
    for night, by_night in (("22:00-06:00", 0), ("", 1)):
        folder = tmp_path / (night.replace(":", "") or "none")
        folder.mkdir()
        valley = Valley(folder, [SIGNAL, SILENT], post.port, registry=garden(modems=1), signal_night=night)
        valley.alerts.listening(True)
        valley.clock.advance(valley.at(10 * 3_600 + 40 * 60) / 1000 - valley.clock.utc_ms() / 1000)  # 23:00
        post.mails.clear()
        valley.say(60, modem_0=1)
        valley.say(120, modem_0=2)
        assert len(post.mails) == by_night
        valley.say_all(7.2 * 3_600, {("sg-000", "modem-0"): 2.0}, every_s=240)
        assert len(post.mails) == 1, "by six at the latest"
        valley.close()


@pytest.mark.parametrize("role", ["telecom", "commune", "operator", "fire-watch"])
def test_whoever_is_told_lost_service_is_never_about_life(role: str) -> None:
    """A commune's official who is told of it is not woken as for a fire."""
    lost, silent = open_rules([SIGNAL | {"role": role}, SILENT | {"role": role}])
    expected = "upkeep" if role == "operator" else "service"
    assert (lost.grade, lost.may_burn, silent.grade, silent.may_burn) == (expected, False, expected, False)


def test_another_hamlet_is_told_within_a_minute_whatever_else_was_lost_today(tmp_path: Path, post: Post) -> None:
    """Its loss lasts as long as the rule asks, and then no more than 45 s until a letter."""
    valley = opened(tmp_path, post, modems=1, hamlets=25)
    codes = {(f"sg-{n:03d}", "modem-0"): 1.0 for n in range(25)}
    valley.say_all(60, codes)
    for n in range(25):
        codes[f"sg-{n:03d}", "modem-0"] = 2.0
        valley.say_all(60 + 45 + 35, codes)
        said = " ".join(mail.get_content() for _, mail in post.mails)
        assert f"Bản {n}," in said, n
    valley.close()


def test_a_loss_that_is_known_days_later_is_written_down_and_wakes_nobody(tmp_path: Path, post: Post) -> None:
    """The gateway had no link for two days; what its modem heard meanwhile comes with the backlog, the newest first."""
    valley = opened(tmp_path, post, modems=1)
    valley.say(60, modem_0=1)
    since_ms = valley.clock.utc_ms()
    valley.alerts.listening(False)
    valley.clock.advance(2 * 86_400)
    valley.alerts.listening(True)
    valley.say(120, modem_0=1)
    kind: dict[str, Any] = {"gateway": "sg-000", "channel": "modem-0", "quantity": "registration"}
    for hour in reversed(range(40)):
        for n in range(0, 180, 30):
            at_ms = since_ms + hour * 3_600_000 + n * 20_000
            code = 2.0 if 10 <= hour < 20 else 1.0
            valley.alerts.offer(batch(valley.seq, [(at_ms + m * 20_000, code) for m in range(30)], **kind), at_ms)
            valley.seq += 30
        valley.say(20, modem_0=1)
    assert post.mails == []
    late = [one for one in valley.alerts.incidents() if one.late]
    assert late, "it is written down"
    assert [one for one in valley.alerts.incidents() if not one.late] == []
    assert min(one.since_ms for one in late) == since_ms + 10 * 3_600_000
    valley.close()


@pytest.mark.parametrize("step_s", [-3_600.0, 3_600.0, -2 * 86_400.0, 30 * 86_400.0])
def test_a_server_clock_that_is_set_amid_a_loss_tells_it_and_its_end_once(
    tmp_path: Path, post: Post, step_s: float
) -> None:
    valley = opened(tmp_path, post)
    valley.say(60, modem_0=1, modem_1=1)
    valley.say(120, modem_0=2, modem_1=2)
    assert len(post.mails) == 1
    valley.clock.step(step_s)
    valley.say(600, modem_0=2, modem_1=2)
    assert len(post.mails) == 1
    valley.say(300, modem_0=1, modem_1=1)
    valley.idle(60)
    ends = [subject for subject in post.subjects() if "ĐÃ HẾT" in subject]
    assert (len(ends), [one for one in valley.alerts.incidents() if one.gateway.startswith("hamlet") and one.open]) == (
        1,
        [],
    )
    valley.close()


def test_who_is_killed_at_any_moment_tells_a_loss_and_its_end_once(tmp_path: Path, post: Post) -> None:
    """A new process every forty seconds, which finds the file and nothing that was in memory."""
    valley = opened(tmp_path, post)
    for codes in ((1, 1), (2, 1), (2, 2), (2, 2), (2, 2), (1, 2), (1, 2), (1, 1)):
        for _ in range(3):
            valley.say(40, modem_0=codes[0], modem_1=codes[1])
            valley.restart()
            valley.alerts.listening(True)
    valley.say(120, modem_0=1, modem_1=1)
    assert [one[:14] for one in post.subjects()] == ["[gocche] MẤT S", "[gocche] ĐÃ HẾ"]


def test_a_modem_that_never_had_service_hides_no_loss_of_another(valley: Valley, post: Post) -> None:
    """A second SIM whose network does not reach the hamlet says so from the first day on."""
    valley.say(300, modem_0=1, modem_1=0)
    valley.say(120, modem_0=2, modem_1=0)
    valley.say(120, modem_0=2, modem_1=2)
    assert post.subjects() == ["[gocche] MẤT SÓNG / No mobile service: Bản 0, xã Chế Tạo, Lào Cai"]
    valley.say(BUSY_S, modem_0=2, modem_1=0)
    assert len(post.mails) == 1
    valley.say(200, modem_0=1, modem_1=0)
    valley.idle(10)
    assert (valley.open, len(post.mails)) == ([], 2)


def test_a_second_modem_that_only_just_lost_it_is_waited_for(valley: Valley, post: Post) -> None:
    valley.say(60, modem_0=1, modem_1=1)
    valley.say(120, modem_0=2, modem_1=1)
    valley.say(40, modem_0=2, modem_1=2)
    valley.say(BUSY_S, modem_0=2, modem_1=1)
    assert (valley.open, post.mails) == (["sg-000/modem-0"], [])


def test_a_gateway_that_is_silent_beside_another_one_in_its_hamlet_is_told(tmp_path: Path, post: Post) -> None:
    """The hamlet has service by the other one's modem: nobody would hear of the silent one's sensors any more."""
    valley = opened(tmp_path, post, apart=True, way_out=True)
    codes = {("sg-000-0", "modem-0"): 1.0, ("sg-000-1", "modem-1"): 1.0}
    valley.say_all(100, codes)
    valley.say_all(BUSY_S, {("sg-000-1", "modem-1"): 1.0})
    valley.idle(10)
    assert (valley.open, len(post.mails)) == (["sg-000-0/modem-0", "sg-000-0/"], 1)
    assert "gateway" in post.subjects()[0].lower()
    valley.say_all(2 * BUSY_S, codes)
    valley.idle(10)
    assert (valley.open, len(post.mails)) == ([], 2)
    valley.close()


def test_a_hamlet_whose_modems_had_service_in_the_silence_had_service(tmp_path: Path, post: Post) -> None:
    """As of a hamlet with one modem, the week's report must not count an hour of a broken link as lost service."""
    valley = opened(tmp_path, post, way_out=True)
    valley.say(100, modem_0=1, modem_1=1)
    since_ms = valley.clock.utc_ms()
    valley.idle(3_600)
    assert [one.basis for one in valley.alerts.incidents()] == ["silence"] * 3
    for channel in ("modem-0", "modem-1"):
        kind: dict[str, Any] = {"gateway": "sg-000", "channel": channel, "quantity": "registration"}
        points = [(since_ms + n * 20_000, 1.0) for n in range(1, 170)]
        valley.alerts.offer(batch(valley.seq, points, **kind), valley.clock.utc_ms())
        valley.seq += len(points)
    valley.say(BUSY_S, modem_0=1, modem_1=1)
    assert {(one.basis, one.open) for one in valley.alerts.incidents()} == {("refuted", False)}
    assert len(post.mails) == 2
    valley.close()


def test_a_rule_that_is_taken_out_leaves_no_hamlet_open_for_ever(valley: Valley, post: Post) -> None:
    valley.say(60, modem_0=1, modem_1=1)
    valley.say(120, modem_0=2, modem_1=2)
    assert len(post.mails) == 1
    valley.rules = [SILENT]
    valley.restart()
    valley.alerts.listening(True)
    valley.say(60, modem_0=2, modem_1=2)
    assert valley.open == []
