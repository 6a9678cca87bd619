"""The pages as files: all of them or none, true at another time, and served by a real nginx as they are here."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import msgspec
import pytest

from cloud.config import load
from cloud.pages import still
from cloud.pages.app import build
from cloud.pages.words import catalogue
from cloud.registry import Registry, codes
from cloud.registry.kinds import KINDS, Tag, Voice
from cloud.rooms.listener import listen
from gocche.site import site
from gocche.words import Refused
from tests import surveys
from tests.servers import until
from tests.visitors import ALL, BARE, GARDEN, TREE, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUDGET_S = 90
PUBLIC = "https://goc.example.org"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
BLANK = "90000" + codes.check_char("90000")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.registry.tags[BLANK] = Tag(code=BLANK)
    made.registry.trees[BARE] = msgspec.structs.replace(made.registry.trees[BARE], published=False)
    made.tell(ALL)
    yield made
    made.store.close()


def export(world: World, folder: Path, **more: Any) -> None:
    asyncio.run(still.export(build(world.garden(still=True, **more)), world.registry, folder))


def test_every_code_is_a_file_and_nothing_says_a_minute_ago(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(world, out)
    assert "Cây mẫu số 1" in (out / "T" / f"{TREE}.html").read_text("utf-8")
    assert "Sample tree 1" in (out / "t" / "7k3-mqp.en.html").read_text("utf-8")
    assert catalogue("vi")["missing.blank_lead"] in (out / "T" / f"{BLANK}.html").read_text("utf-8")
    assert catalogue("vi")["missing.withheld_lead"] in (out / "T" / f"{BARE}.html").read_text("utf-8")
    assert not (out / "T" / BARE).exists(), "nothing of a tree that is withheld"
    for path in ("T/7K3MQP.json", "T/7K3MQP/hinh.svg", "T/7K3MQP/air_humidity.html", "T/7K3MQP/history.csv"):
        assert (out / path).stat().st_size > 0, path
    for page in out.rglob("*.html"):
        text = page.read_text("utf-8").partition("<main")[2]
        for words in ("phút trước", "min ago"):
            assert words not in text, (page, words)
    assert "10:59, 23/11/2025" in (out / "T" / f"{TREE}.html").read_text("utf-8")


def test_an_export_that_fails_leaves_the_one_before(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(world, out)
    before = {path: path.read_bytes() for path in out.rglob("*.html")}

    def broken(*_: Any) -> Any:
        raise RuntimeError

    world.incidents = []
    with pytest.raises(still.Lost, match="/canh-bao: status 503"):
        asyncio.run(still.export(build(world.garden(still=True, incidents=broken, patience_s=5)), world.registry, out))
    assert {path: path.read_bytes() for path in out.rglob("*.html")} == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("out")) == ["out"]
    del world.registry.trees["4TN8WJ"]
    export(world, out)
    assert not (out / "T" / "4TN8WJ.html").exists(), "what is gone from the registry is gone from the files"


def test_a_folder_that_is_no_export_is_left_alone(tmp_path: Path) -> None:
    config = load(GARDEN.parent / "cloud.toml")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(Refused, match="no earlier export"):
        site(config, tmp_path)
    config = msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, path=str(tmp_path / "none")))
    with pytest.raises(Refused, match="has not run on this data folder"):
        site(config, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@contextmanager
def nginx(root: Path, folder: Path) -> Iterator[str]:
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    conf = (root / still.CONF).read_text("utf-8")
    conf = conf.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("/var/www/gocche", str(root))
    temps = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "whole.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    http = f"http {{ access_log off; {temps}\n{conf}\n}}"
    file.write_text(f"{user} daemon off; pid {folder}/pid; error_log stderr; events {{}} {http}")
    assert NGINX
    process = subprocess.Popen([NGINX, "-c", str(file), "-p", str(folder)], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: asked(url, "/")[0] == 200, 20, "nginx serves")
        yield url
    finally:
        process.terminate()
        process.wait(20)


def asked(url: str, path: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(url + path, timeout=5) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)
    except OSError:
        return 0, b"", {}


@pytest.mark.journey
@pytest.mark.usefixtures("budget")
def test_nginx_serves_it_as_we_do(world: World, tmp_path: Path) -> None:
    if NGINX is None:
        words = "nginx absent: apt-get install nginx-light"
        (pytest.fail if os.environ.get("GOCCHE_REQUIRE_SERVERS") == "1" else pytest.skip)(words)
    out = tmp_path / "out"
    export(world, out, surveyed=surveys.surveyed(tmp_path / "coverage.db", world.clock.now_ms))
    with nginx(out, tmp_path) as url:
        for path, words in (
            ("/", "Vườn chè"),
            ("/?lang=en", "Tea garden"),
            (f"/T/{TREE}", "Cây mẫu số 1"),
            (f"/T/{TREE}?lang=en", "Sample tree 1"),
            ("/t/7k3-mqp?lang=vi", "Cây mẫu số 1"),
            (f"/T/{TREE}/air_humidity", "Độ ẩm không khí"),
            (f"/T/{BLANK}", catalogue("vi")["missing.blank_lead"]),
            ("/l/a7k2", "vụ xuân 2026"),
            ("/01/09520123456788/10/a7k2?lang=en", "spring 2026"),
            ("/phu-song", "Háng Tày"),
            ("/phu-song/lop/5g.452004.202609?lang=en", "Sep 2026"),
            ("/phu-song/h01/5g", "Từng mạng quanh thôn"),
        ):
            status, body, headers = asked(url, path)
            assert (status, words in body.decode()) == (200, True), path
            assert headers["Content-Type"] == "text/html; charset=utf-8"
            assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
        for path, kind in (
            (f"/T/{TREE}.json", "application/json"),
            (f"/T/{TREE}/hinh.svg", "image/svg+xml"),
            ("/cay.geojson", "application/geo+json"),
            ("/sw.js", "text/javascript"),
            ("/z/z01.json", "application/json"),
        ):
            status, _, headers = asked(url, path)
            assert (status, headers["Content-Type"].partition(";")[0]) == (200, kind), path
        seen, left = set(), ["/", "/?lang=en"]
        while left:  # a visitor follows every link, and meets no page that is not there
            path = left.pop()
            seen.add(path)
            status, body, headers = asked(url, path)
            assert status == 200, path
            if headers["Content-Type"].startswith("text/html"):
                links = [unescape(one) for one in re.findall(r'(?:href|src)="([^"]+)"', body.decode())]
                assert not [one for one in links if one.startswith("http") and not one.startswith(PUBLIC)]
                local = [
                    urljoin(path, one.removeprefix(PUBLIC)).partition("#")[0]
                    for one in links
                    if not re.match("(geo|tel|sms):", one)
                ]
                left += [one for one in dict.fromkeys(local) if one not in seen and one not in left]
        assert len(seen) > 50
        status, body, _ = asked(url, "/T/000000")
        assert (status, catalogue("vi")["missing.title"] in body.decode()) == (404, True)
        assert asked(url, f"/{still.CONF}")[0] == 404


@pytest.mark.journey
@pytest.mark.usefixtures("budget")
def test_a_thousand_trees(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And a zone of forty can be taken along within a megabyte."""
    tree = world.registry.trees[TREE]
    for number in range(996):
        code = "".join(codes.ALPHABET[number // unit % 32] for unit in (1_024, 32, 1)) + "00"
        code += codes.check_char(code)
        zone = "z01" if number < 37 else "z02"  # with three of the sample: forty
        world.registry.trees[code] = msgspec.structs.replace(tree, code=code, zone=zone, label_no=str(number))
    out = tmp_path / "out"
    began = time.monotonic()
    export(world, out)
    took_s = time.monotonic() - began
    paths = json.loads((out / "z" / "z01.json").read_text())["paths"]
    weight = 0
    for path in paths:
        file = out / f"{path.lstrip('/')}{'' if '.' in path else '.html'}"
        weight += len(gzip.compress(file.read_bytes(), 6)) + 900  # and a head
    with capsys.disabled():
        print(f"\n1,000 trees: {took_s:.0f} s; a trail of {len(paths) // 2} trees: {weight / 1000:.0f} kB")
    assert len(paths) == 80
    assert weight <= 1_000_000
    assert took_s <= 120


def test_voices_that_are_heard_are_carried(world: World, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "site"
    photos.mkdir()
    voices = [Voice(code=code, tree=TREE, lang="hmn", published=code == "a1") for code in ("a1", "b1")]
    for one in voices:
        (photos / f"{one.code}.mp3").write_bytes(one.code.encode())
    records = {kind: list(world.registry._records.get(kind, ())) for kind in KINDS}
    world.registry = Registry(records | {"voice": voices})
    front = build(world.garden(still=True, photos=photos))
    asyncio.run(still.export(front, world.registry, out, photos))
    assert {path.name: path.read_bytes() for path in (out / "giong").iterdir()} == {"a1.mp3": b"a1"}
    assert "/giong/a1.mp3" in (out / "T" / f"{TREE}.html").read_text("utf-8")
    assert "audio/mpeg mp3" in (out / "nginx.conf").read_text("utf-8")
