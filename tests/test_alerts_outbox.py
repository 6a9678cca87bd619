"""Telling people over a mail server that refuses, fails, comes back, and over many contacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloud.registry import Contact
from tests.rules.garden import SMOKE, Bench, Post, registry, serving
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRE = [(60.0 * n, 80.0) for n in range(6)]
CALM = [(360.0 + 60.0 * n, 10.0) for n in range(6)]
PEOPLE = [Contact(f"n{n}", "fire-watch", f"n{n}@example.vn") for n in range(20)]


@pytest.fixture
def post() -> Post:
    return Post(free_port())


@pytest.fixture
def bench(tmp_path: Path, post: Post) -> Iterator[Bench]:
    made = Bench(tmp_path, [SMOKE], post.port, registry=registry(contacts=PEOPLE))
    yield made
    made.close()


def test_twenty_contacts_one_mail_each(bench: Bench, post: Post) -> None:
    with serving(post):
        bench.live(FIRE)
        bench.live(CALM)
    for person in PEOPLE:
        assert len(post.subjects(person.email)) == 2


def test_one_refused_for_good_costs_only_itself(bench: Bench, post: Post) -> None:
    post.refuse["n3@example.vn"] = "550 no such user"
    with serving(post):
        bench.live(FIRE)
        bench.idle(3_600, 60)
    assert len(post.mails) == 19
    assert post.tries == 20
    health = bench.alerts.health()
    assert (health["given_up"], health["waiting"]) == (1, 0)
    assert "550 no such user" in health["last_refusal"]
    assert any("given up: 550 no such user" in words for words in bench.words())


def test_one_refused_for_now_is_tried_again(bench: Bench, post: Post) -> None:
    post.refuse["n3@example.vn"] = "450 busy"
    with serving(post):
        bench.live(FIRE)
        assert len(post.mails) == 19
        assert bench.alerts.health()["waiting"] == 1
        bench.idle(60, 5)
        post.refuse.clear()
        bench.idle(900, 10)
    assert len(post.subjects("n3@example.vn")) == 1
    assert len(post.mails) == 20
    assert sum(words.startswith("tell-failed") for words in bench.words()) == 1  # a change, not each try


def test_a_server_that_is_down_is_asked_once_a_round(bench: Bench, post: Post) -> None:
    for person in PEOPLE:
        post.refuse[person.email] = "421 closing"
    with serving(post):
        bench.live(FIRE[:4])
        assert post.tries == 1


def test_smoke_that_clears_while_the_server_is_down_is_still_told(bench: Bench, post: Post) -> None:
    bench.live(FIRE)  # nobody listens on the port
    bench.live(CALM)
    assert bench.alerts.health()["waiting"] > 0
    with serving(post):
        bench.idle(900, 10)
    assert bench.alerts.health()["waiting"] == 0
    for person in PEOPLE:
        subjects = post.subjects(person.email)
        tried = subjects[0].startswith("[gocche] NGHI CÓ KHÓI")
        assert len(subjects) == (2 if tried else 1)
        assert subjects[-1].startswith("[gocche] ĐÃ HẾT" if tried else "[gocche] ĐÃ QUA")


def test_restart_while_the_server_is_down_loses_nothing(bench: Bench, post: Post) -> None:
    bench.live(FIRE)
    bench.restart()
    with serving(post):
        bench.idle(900, 10)
    assert sorted(who for who, _ in post.mails) == sorted(person.email for person in PEOPLE)


def test_what_is_never_accepted_is_given_up_and_visible(tmp_path: Path, post: Post) -> None:
    people = PEOPLE[:1]
    bench = Bench(tmp_path, [SMOKE], post.port, registry=registry(contacts=people), give_up_s=600)
    bench.live(FIRE)
    bench.idle(1_800, 30)
    assert bench.alerts.health()["given_up"] == 1
    bench.close()


def test_an_address_that_is_none_costs_only_itself(tmp_path: Path, post: Post) -> None:
    people = [Contact("x", "fire-watch", "not an address\r\nBcc: all@example.vn"), PEOPLE[0]]
    bench = Bench(tmp_path, [SMOKE], post.port, registry=registry(contacts=people))
    with serving(post):
        bench.live(FIRE)
    assert [who for who, _ in post.mails] == ["n0@example.vn"]
    assert bench.alerts.health()["given_up"] == 1
    bench.close()
