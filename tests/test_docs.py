"""The documents say what is so: reference, tree, links, commands, protocol, certificates, claims."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import unicodedata
import zlib
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from cloud.access import mosquitto
from cloud.clock import SystemClock
from cloud.config import Broker as CloudBroker
from cloud.config import load as load_cloud
from cloud.coverage import phones
from cloud.rooms import ROOMS
from cloud.rooms.check import check
from cloud.stream.connection import Stream
from edge.board import Board
from edge.clock import SystemClock as EdgeClock
from edge.config import Broker, Bus, load
from edge.send import causes
from edge.send.carrier import Ends
from edge.send.uplink import Uplink
from gocche import reference
from tests import servers
from tests.conftest import need
from wire import codec, topics
from wire.batch import Source, Status, Verdict
from wire.quantities import QUANTITIES
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.access.book import Account

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGES = ("edge", "wire", "detect", "at", "disk", "cloud", "gocche")
VECTORS = ROOT / "wire" / "vectors" / "v1"


def folders() -> set[str]:
    """Return every folder that is under version control, down to two levels; hidden ones are no part of the map."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    parts = [Path(name).parts[:-1][:2] for name in listed.stdout.splitlines() if not name.startswith(".")]
    return {"/".join(own[: depth + 1]) for own in parts for depth in range(len(own))}


def pages() -> list[Path]:
    """Return all our Markdown files."""
    own = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "changelog.d").glob("*.md")]
    return sorted(own)


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def fenced(page: Path, name: str) -> str:
    """Return the code block that is headed by `name`."""
    found = re.search(
        rf"^```\w+ {re.escape(name)}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found, f"{page.name} has no block {name}"
    return found[1]


def table(page: Path, heading: str) -> list[list[str]]:
    """Return the rows of the first table whose head begins with these words."""
    lines = page.read_text(encoding="utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |")) + 2
    rows = []
    while lines[at].startswith("|"):
        rows.append([cell.strip() for cell in lines[at].strip("|").split("|")])
        at += 1
    return rows


# --- what is generated


def test_the_reference_is_what_the_code_says() -> None:
    assert reference.check(DOCS / "reference") == []


def test_a_page_that_differs_or_is_a_stray_is_found(tmp_path: Path) -> None:
    reference.write(tmp_path)
    assert reference.check(tmp_path) == []
    (tmp_path / "cli.md").write_text("older")
    (tmp_path / "gone.md").touch()
    (tmp_path / "alerts.md").unlink()
    faults = " ".join(reference.check(tmp_path))
    assert all(name in faults for name in ("cli.md differs", "alerts.md differs", "gone.md is not made"))


# --- the map


def drawn() -> tuple[set[str], set[str]]:
    """Return the folders and files of the tree in docs/architecture.md."""
    seen: tuple[set[str], set[str]] = (set(), set())
    above: list[str] = []
    for line in fenced(DOCS / "architecture.md", "tree").splitlines():
        indent, name = len(line) - len(line.lstrip()), line.split()[0]
        above = [*above[: indent // 2], name.rstrip("/")]
        seen[not name.endswith("/")].add("/".join(above))
    return seen


def test_the_tree_is_the_real_one() -> None:
    shown, files = drawn()
    assert sorted(folders() - shown) == [], "not drawn"
    assert [name for name in sorted(shown) if not (ROOT / name).is_dir()] == [], "drawn but not there"
    loose = {f"{package}/{file.name}" for package in PACKAGES for file in (ROOT / package).iterdir() if file.is_file()}
    loose = {name for name in loose if not Path(name).name.startswith("__init__")}
    assert sorted(loose ^ files) == [], "a file beside the rooms that is not drawn, or drawn and not there"


def test_every_link_leads_somewhere() -> None:
    dead = []
    for page in pages():
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            if not file.exists():
                dead.append(f"{page.relative_to(ROOT)}: {target}")
            elif anchor and anchor not in anchors(file):
                dead.append(f"{page.relative_to(ROOT)}: {target} (no such heading)")
    assert dead == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def test_all_words_are_nfc() -> None:
    assert [
        page.name for page in pages() if not unicodedata.is_normalized("NFC", page.read_text(encoding="utf-8"))
    ] == []


def test_every_test_that_is_named_exists() -> None:
    gone = []
    for page in pages():
        for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text(encoding="utf-8")):
            source = ROOT / file
            if not source.is_file() or (name and f"def {name}(" not in source.read_text(encoding="utf-8")):
                gone.append(f"{page.name}: {file} {name}")
    assert gone == []


def test_every_make_command_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    said = {word for page in pages() for word in re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8"))}
    said |= set(re.findall(r"^make ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert said - targets == set()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)[1].split("\n") == [
        "make run",
        "make test",
        "",
    ]


def test_every_command_of_gocche_exists() -> None:
    known = set(re.findall(r"^## `gocche ([a-z-]+)", (DOCS / "reference" / "cli.md").read_text(), re.MULTILINE))
    said = {word for page in pages() for word in re.findall(r"`(?:\S*/)?gocche ([a-z-]+)", prose(page))}
    assert said - known == set()


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(file.name[:4]) for file in sorted((DOCS / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
    for file in (DOCS / "decisions").glob("*.md"):
        text = file.read_text(encoding="utf-8").lower()
        assert all(part in text for part in ("context", "choice", "rejected", "change our mind")), file.name


def test_nothing_is_called_tested_on_hardware_without_a_recording() -> None:
    known = [(name, None) for name in reference.drivers.names()]
    known += [("modbus", name) for name in reference.profiles.names()]
    for page in pages():
        for line in page.read_text(encoding="utf-8").splitlines():
            if "tested on hardware:" in line.lower() or "đã thử trên thiết bị thật:" in line.lower():
                named = [one for one in known if (one[1] or one[0]) in line]
                assert named, f"{page.name} does not say what was tested: {line}"
                assert all(reference.captured(*one) for one in named), f"{page.name}: {line}"


# --- the protocol, read with nothing but docs/protocol.md


def opened(packet: bytes) -> list:
    squeezed, crc = packet[:-4], packet[-4:]
    assert zlib.crc32(squeezed) == int.from_bytes(crc, "big")
    return msgspec.msgpack.decode(zlib.decompress(squeezed))


def as_the_page_says(packet: bytes) -> tuple[list[dict], list[list]]:
    _version, _kind, epoch, first, _n, _boot, offset, source, uncertainty, frozen = opened(packet)
    start_ms, series, *raw = msgspec.msgpack.decode(frozen)
    found = []
    for channel, seqs, times, columns in series:
        rows = [{"epoch": epoch.hex(), "seq": first + seq, "channel": channel, "values": {}, "reasons": {}}
                for seq in accumulate(seqs)]  # fmt: skip
        for row, ms in zip(rows, accumulate(accumulate(times)), strict=True):
            row["utc_ms"] = None if offset is None else start_ms + ms + offset
            row["bounded"] = source == 6
            if source == 6:
                row["values"]["clock_uncertainty"] = -(-uncertainty // 1000)
        for quantity, deltas, absent in columns:
            reasons = dict(zip(absent[::2], absent[1::2], strict=True))
            present = (row for number, row in enumerate(rows) if number not in reasons)
            for row, scaled in zip(present, accumulate(deltas), strict=True):
                row["values"][quantity] = scaled / 10 ** QUANTITIES[quantity].decimals
            for number, reason in reasons.items():
                rows[number]["reasons"][quantity] = reason
        found.append(rows)
    beside = []
    for place, column, at, deltas in raw[0] if raw else []:
        quantity = series[place][3][column][0]
        for row, scaled in zip(accumulate(at), accumulate(deltas), strict=True):
            seq = found[place][row]["seq"]
            beside.append([seq, series[place][0], quantity, scaled / 10 ** QUANTITIES[quantity].decimals])
    return sorted((row for rows in found for row in rows), key=lambda row: row["seq"]), sorted(beside)


@pytest.mark.parametrize("name", ["batch", "undated", "bounded", "raw"])
def test_another_implementation_reads_the_vectors(name: str) -> None:
    vector = json.loads((VECTORS / f"{name}.json").read_text())
    wanted = [{key: value for key, value in row.items() if key != "gateway"} for row in vector["readings"]]
    assert as_the_page_says(bytes.fromhex(vector["packet"])) == (wanted, vector.get("raw", []))


def test_another_implementation_reads_gap_and_acknowledgement() -> None:
    gap = json.loads((VECTORS / "gap.json").read_text())
    _version, kind, epoch, first, n, *_rest, body = opened(bytes.fromhex(gap["packet"]))
    assert (kind, epoch.hex(), first, n) == (2, gap["gap"]["epoch"], gap["gap"]["first"], gap["gap"]["n"])
    assert msgspec.msgpack.decode(body) == [gap["gap"]["reason"]]
    ack = json.loads((VECTORS / "ack.json").read_text())
    version, utc_ms, items = opened(bytes.fromhex(ack["packet"]))
    assert [version, utc_ms] == ack["ack"][:2]
    assert [item[1:] for item in items] == [item[1:] for item in ack["ack"][2]]


def test_the_example_is_the_vector() -> None:
    packet = bytes.fromhex(json.loads((VECTORS / "batch.json").read_text())["packet"])
    version, kind, epoch, first, n, boot, offset, source, uncertainty, frozen = opened(packet)
    start_ms, series = msgspec.msgpack.decode(frozen)
    lines = [
        f"packet    {len(packet)} bytes, of which the last 4 are the CRC-32: {packet[-4:].hex()}",
        f"version   {version}", f"kind      {kind}", f"epoch     {epoch.hex()}", f"first     {first}",
        f"n         {n}", f"boot      {boot.hex()}", f"offset    {offset}", f"source    {source}",
        f"uncertainty {uncertainty}", f"start_ms  {start_ms}",
    ]  # fmt: skip
    for channel, seqs, times, columns in series:
        lines.append(f"{channel:<9} seqs {seqs} times {times}")
        lines += [f"  {quantity} deltas {deltas} absent {absent}" for quantity, deltas, absent in columns]
    page = (DOCS / "protocol.md").read_text(encoding="utf-8")
    assert page.partition("<!-- example -->\n```\n")[2].partition("\n```")[0].splitlines() == lines


def test_the_tables_of_the_protocol_are_the_code() -> None:
    page = DOCS / "protocol.md"
    for heading, codes in (("source", Source), ("verdict", Verdict), ("reason", Reason)):
        said = {row[0].replace(" ", "_").upper(): int(row[1]) for row in table(page, heading)}
        assert said == {one.name: int(one) for one in codes}
    assert [row[1] for row in table(page, "#")] == [
        name.removesuffix("_ms") for name in codec.Envelope.__struct_fields__
    ]
    keys = {key for row in table(page, "key") for key in re.findall(r"`(\w+)`", row[0])}
    assert keys == set(Status.__struct_fields__)
    limits = " ".join(cell for row in table(page, "limit") for cell in row)
    for limit in (codec.MAX_PACKET, codec.MAX_INFLATED, codec.MAX_READINGS, codec.MAX_VALUES):
        assert f"{limit:,}" in limits
    assert {row[0] for row in table(page, "topic")} == {
        f"`{topic('{gateway}')}`" for topic in (topics.up, topics.ack, topics.status, topics.beat)
    }


def test_what_the_protocol_says_of_telephones_is_the_code() -> None:
    page = DOCS / "protocol.md"
    told = " ".join(row[0] for row in table(page, "topic of a telephone"))
    assert set(re.findall(r"\w+_message", told)) == set(topics.STREAMS)
    assert f"{topics.SURVEY}/{{user}}/" in told
    why = dict(table(page, "refused in the room, and counted"))
    assert {reason.strip("`") for reason in why if reason.startswith("`")} == {
        "account", "retained", "rate", "size", "full"
    }  # fmt: skip
    assert f"{phones.PER_S:.0f} messages" in why["`rate`"]
    assert f"after {phones.BURST:.0f} at once" in why["`rate`"]
    assert f"{phones.MAX_BYTES:,} bytes" in why["`size`"]
    assert f"{phones.MOST_QUEUED:,} messages" in why["`full`"]


# --- the certificates and the access list, as docs/install.md gives them


def issued(folder: Path, more: str = "") -> None:
    """Run the certificates' script of docs/install.md in `folder`."""
    assert shutil.which("openssl"), "openssl absent: apt-get install openssl"
    script = fenced(DOCS / "install.md", "certificates.sh").replace("DNS:mqtt.example.org", "IP:127.0.0.1") + more
    subprocess.run(["/bin/bash", "-euc", script], cwd=folder, check=True, capture_output=True)


class Guarded(servers.Mosquitto):
    """Mosquitto with the configuration of docs/install.md; only paths and ports are those of the test."""

    def __init__(self, folder: Path, accounts: Sequence[Account] = ()) -> None:
        super().__init__(folder)
        self.phones, self.accounts = servers.free_port(), accounts

    def ready(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.phones), timeout=1):
            return super().ready()

    def command(self) -> list[str]:
        page = DOCS / "install.md"
        own = fenced(page, "/etc/mosquitto/conf.d/gocche.conf")
        for listener, port in (("listener 8883", self.port), ("listener 8884", self.phones)):
            own = own.replace(listener, f"listener {port} 127.0.0.1")
        own = own.replace("/etc/mosquitto/certs", str(self.folder)).replace("/etc/mosquitto/", f"{self.folder}/")
        (self.folder / "gocche.conf").write_text(own + "user root\n")
        mosquitto.write(self.folder, self.accounts)
        if not (self.folder / "ca.pem").exists():
            issued(self.folder, "issue sg-02 DNS:sg-02\n")
            for end in ("pem", "key"):
                shutil.copy(self.folder / f"mqtt.example.org.{end}", self.folder / f"phones.{end}")
        return [str(servers.binary(self.name)), "-c", str(self.folder / "gocche.conf")]


@pytest.mark.mosquitto
def test_a_gateway_reaches_the_server_and_no_other_gateways_topics(tmp_path: Path) -> None:
    need(servers.MOSQUITTO)
    with Guarded(tmp_path / "broker") as server:
        keys = {"host": "127.0.0.1", "port": server.port, "ca_file": f"{server.folder}/ca.pem"}

        def known_as(name: str) -> dict:
            return keys | {"cert_file": f"{server.folder}/{name}.pem", "key_file": f"{server.folder}/{name}.key"}

        arrived, heard, links = [], [], []
        cloud = Stream(CloudBroker(**known_as("gocche-cloud")), "gocche-ingest", topics.FROM_GATEWAYS,
                       SystemClock(), arrived.append)  # fmt: skip
        seen = []
        reader = Stream(CloudBroker(**known_as("gocche-reader")), "gocche-pages", topics.FROM_GATEWAYS,
                        SystemClock(), seen.append)  # fmt: skip
        gateways = {
            name: Uplink(
                Broker(**known_as(name), spread_s=0),
                name,
                Ends(lambda: b"will", heard.append, lambda up, name=name: links.append((name, up))),
                Board(),
                EdgeClock(),
            )
            for name in ("sg-01", "sg-02")
        }
        outside = Board()
        stranger = Uplink(
            Broker(**keys, spread_s=0),
            "sg-03",
            Ends(lambda: b"will", heard.append, lambda up: links.append(("sg-03", up))),
            outside,
            EdgeClock(),
        )
        try:
            for one in (cloud, reader, *gateways.values(), stranger):
                one.start()
            welcome = {("sg-01", True), ("sg-02", True)}
            servers.until(
                lambda: cloud.connected and reader.connected and welcome <= set(links),
                20,
                "all with a certificate are in",
            )
            gateways["sg-02"].publish(topics.up("sg-01"), b"forged")
            gateways["sg-02"].publish(topics.up("sg-02"), b"own 2")
            gateways["sg-01"].publish(topics.status("sg-01"), b"{}", retain=True)
            gateways["sg-01"].publish(topics.beat("sg-01"), b"beat")
            gateways["sg-01"].publish(topics.up("sg-01"), b"own 1")
            servers.until(
                lambda: {b"own 1", b"own 2", b"beat"} <= {one.payload for one in arrived}, 20, "own topics arrive"
            )
            servers.until(lambda: b"own 1" in {one.payload for one in seen}, 20, "who may only read hears it too")
            reader.publish(topics.ack("sg-01"), b"forged answer")
            cloud.publish(topics.ack("sg-01"), b"answer")
            servers.until(lambda: b"answer" in heard, 20, "the answer arrives")
            assert {one.payload for one in arrived} == {b"own 1", b"own 2", b"{}", b"beat"}
            assert heard == [b"answer"]
            assert ("sg-03", True) not in links
            assert outside.link.cause in {"tls-certificate", "tls-closed"}
        finally:
            for gateway in gateways.values():
                gateway.stop(b"bye")
            stranger.stop(b"bye")
            reader.close()
            cloud.close()


def test_every_rs485_option_is_told_to_installers() -> None:
    rows = table(DOCS / "install.md", "khoá của bus RS-485 · key")
    told = [key for row in rows for key in re.findall(r"`(\w+)`", row[0])]
    assert told == [key for key in Bus.__struct_fields__ if key not in {"name", "port", "baud", "format"}]


def test_the_broker_table_of_the_page_is_understood(tmp_path: Path) -> None:
    page = (DOCS / "install.md").read_text(encoding="utf-8")
    broker = next(
        block for block in re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if "sg-01.pem" in block
    )
    issued(tmp_path)
    (tmp_path / "sg-01.key").rename(tmp_path / "broker-key")
    for folder in ("/etc/gocche", "/run/credentials/gocche-agent.service"):
        broker = broker.replace(folder, str(tmp_path))
    sample = (ROOT / "config" / "devices.toml").read_text(encoding="utf-8")
    changed = re.sub(r"\[broker\].*?(?=\[spool\])", broker.replace("\\", "/") + "\n", sample, flags=re.DOTALL)
    (tmp_path / "devices.toml").write_text(changed, encoding="utf-8")
    assert load(tmp_path / "devices.toml").broker.port == 8883


def test_the_tables_of_the_server_are_understood(tmp_path: Path) -> None:
    """Those of install.md in place of the sample's, which keeps its rules; each store; what is in /etc is not here."""
    page = (DOCS / "install.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    tables = next(block for block in blocks if "gocche-cloud.pem" in block)
    stores = [block for block in blocks if block.startswith("[store]")]
    issued(tmp_path)
    tables = tables.replace("/etc/gocche", str(tmp_path))
    shutil.copytree(ROOT / "config" / "garden", tmp_path / "garden")
    sample = (ROOT / "config" / "cloud.toml").read_text(encoding="utf-8")
    rules = sample[sample.index("[[rule]]") :]
    assert len(stores) == 3
    for store in ("", *stores):
        own = store.replace("/etc/gocche", str(tmp_path))
        (tmp_path / "cloud.toml").write_text(f"{tables}\n{own}\n{rules}", encoding="utf-8")
        check(load_cloud(tmp_path / "cloud.toml", running=False), running=False)


def printed() -> str:
    """Return the code and its files of words, without comments: whatever is printed stands in there."""
    packages = ("edge", "cloud", "gocche", "settings", "disk", "wire", "detect", "at")
    files = sorted(file for package in packages for file in (ROOT / package).rglob("*.[pt][yo]*"))
    text = "\n".join(file.read_text(encoding="utf-8") for file in files if file.suffix in {".py", ".toml"})
    return re.sub(" +", " ", re.sub(r"(?m)(^| ) *# .*$", "", text))


def test_what_operators_are_told_to_look_for_is_what_they_will_see() -> None:
    """The first column quotes status, log and health: each quotation is said by the code, in one piece or in two."""
    code, unsaid = printed(), []

    def is_said(words: str) -> bool:
        parts = words.split()
        cuts = ((" ".join(parts[:at]), " ".join(parts[at:])) for at in range(len(parts) + 1))
        return any(all(half in code for half in halves) for halves in cuts)

    for row in re.findall(r"^\|(.+?[^\\])\|", prose(DOCS / "operate.md"), re.MULTILINE):
        for quoted in re.findall(r"`([^`]+)`", row):
            for part in re.split(r"…|<\w+>|: false", quoted):  # what differs each time
                plain = re.sub(r"spool\.(db|damaged-1)|'|^.*\.(?=\w+$)", "", part)
                unsaid += [quoted] * (not is_said(plain.strip(" :=")))
    assert unsaid == []


def test_operators_are_told_of_every_room_in_both_languages() -> None:
    told = (ROOT / "docs" / "operate.md").read_text("utf-8")
    for sentence in (r"Máy chủ gồm .*", r"The server is .*"):
        (line,) = re.findall(rf"^{sentence}$", told, re.MULTILINE)
        assert [room for room in ROOMS if f"`{room}`" not in line] == []


def test_what_the_page_of_the_board_quotes_stands_on_the_board() -> None:
    code, page = printed(), prose(DOCS / "grafana.md")
    quoted = re.findall(r"\*([^*\n]+)\*", page) + re.findall(r'"([^"\n]+)"', page.partition("## Đọc bảng")[2])
    assert [words for words in quoted if words != "No data" and words not in code] == []  # Grafana's own


def test_the_table_of_the_link_has_every_cause_in_both_languages() -> None:
    page = (DOCS / "operate.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \| (.+) \|$", page, re.MULTILINE)
    assert rows == [
        (code, f"{words.vi} / {words.en}", f"{words.do_vi} / {words.do_en}") for code, words in causes.table().items()
    ]
