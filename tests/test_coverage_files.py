"""The map as files on the public pages: every view there is, readable from anywhere, and never a stack trace."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest

from cloud.pages.app import build
from tests import surveys
from tests.visitors import NOW_MS, Visitor, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def client(world: World, path: Path | None) -> Visitor:
    return Visitor(build(world.garden(surveyed=path)))


@pytest.mark.journey  # seconds of a core
def test_every_view_is_there_as_geojson_and_as_a_table(world: World, tmp_path: Path) -> None:
    visitor = client(world, surveys.surveyed(tmp_path / "coverage.db", NOW_MS))
    views = visitor.get("/phu-song.json").json()["maps"]
    assert len(views) > 2
    for view in views:
        name = ".".join(map(str, view.values())) if view["month"] else ".".join(map(str, list(view.values())[:2]))
        name = name.removesuffix(".0")
        told = visitor.get(f"/phu-song/lop/{name}.geojson")
        assert told.status_code == 200, name
        assert told.headers["content-type"] == "application/geo+json"
        found = told.json()
        assert (found["layer"], found["network"], found["month"]) == (view["layer"], view["plmn"], view["month"])
        rows = list(csv.DictReader(io.StringIO(visitor.get(f"/phu-song/lop/{name}.csv").text.removeprefix("\ufeff"))))
        assert sorted(row["cell"] for row in rows) == sorted(one["id"] for one in found["features"])
        assert rows
    assert visitor.get("/phu-song.geojson").json() == visitor.get("/phu-song/lop/phone.geojson").json()


def test_a_page_of_another_origin_may_read_it_and_no_other_page_of_ours(world: World, tmp_path: Path) -> None:
    visitor = client(world, surveys.surveyed(tmp_path / "coverage.db", NOW_MS))
    told = visitor.get("/phu-song.geojson")
    assert told.headers["access-control-allow-origin"] == "*"
    assert told.headers.get_list("cross-origin-resource-policy") == ["cross-origin"]
    assert "access-control-allow-credentials" not in told.headers
    for page in ("/", "/phu-song", "/phu-song.json", "/phu-song.csv", "/phu-song/lop/x.geojson"):
        assert "access-control-allow-origin" not in visitor.get(page).headers, page


def test_who_has_surveyed_nothing_has_an_empty_map(world: World, tmp_path: Path) -> None:
    for path in (None, tmp_path / "none.db"):
        visitor = client(world, path)
        assert visitor.get("/phu-song.geojson").json()["features"] == []
        assert len(visitor.get("/phu-song.csv").text.splitlines()) == 1
        assert visitor.get("/phu-song/lop/5g.geojson").status_code == 404


def test_a_damaged_book_and_a_view_that_is_none_are_said(world: World, tmp_path: Path) -> None:
    path = tmp_path / "coverage.db"
    path.write_bytes(b"no database" * 1_000)
    visitor = client(world, path)
    assert visitor.get("/phu-song.geojson").status_code == 503
    for name in ("x", "phone.0", "phone.999999", "5g.452004.209913"):
        assert visitor.get(f"/phu-song/lop/{name}.csv").status_code in {404, 503}, name
    assert visitor.get("/phu-song/lop/x.geojson").status_code == 404


def test_the_pages_link_to_the_files_of_their_view(world: World, tmp_path: Path) -> None:
    visitor = client(world, surveys.surveyed(tmp_path / "coverage.db", NOW_MS))
    for page, view in (("/phu-song", "/phu-song"), ("/phu-song/lop/5g", "/phu-song/lop/5g")):
        text = visitor.get(page).text
        assert f'href="{view}.geojson"' in text
        assert f'href="{view}.csv"' in text


@pytest.mark.parametrize("path", ["/phu-song.geojson", "/phu-song/lop/phone.csv", "/khan-cap/h01"])
def test_what_takes_longer_than_a_page_is_waited_for(world: World, tmp_path: Path, path: str) -> None:
    book = surveys.surveyed(tmp_path / "coverage.db", NOW_MS)
    asked = Visitor(build(world.garden(surveyed=book, patience_s=0.0))).get(path)
    assert asked.status_code == 200
    assert "không đọc được sổ đo sóng" not in asked.text
