"""The boards and their provisioning files, judged without a Grafana: shape, words, fields, secrets."""

from __future__ import annotations

import json
import re
import unicodedata
import urllib.parse
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloud.danger.levels import Level, Verdict, coded
from cloud.panels import looks
from cloud.panels.board import board
from cloud.panels.coverage import STATES, coverage
from cloud.panels.coverage import coded as coded_state
from cloud.panels.export import export
from cloud.panels.fire import SEEN, fire
from cloud.panels.missing import NUMBERS, question
from cloud.registry.kinds import DangerTable
from cloud.store import open_store
from detect.state import FIELDS as DETECTS
from settings.words import Refused
from tests import build
from tests.servers import influx_table
from wire.batch import Status
from wire.quantities import QUANTITIES
from wire.reading import Reason

if TYPE_CHECKING:
    from pathlib import Path

BOARD, FIRE, COVERAGE = board(), fire(), coverage("https://goc.example.org/")
ALL = (BOARD, FIRE, COVERAGE)
BOARDS = pytest.mark.parametrize("made", ALL, ids=["garden", "fire", "coverage"])
PANELS = [panel for made in ALL for panel in made["panels"] if panel["type"] != "row"]
TARGETS = [(panel, target) for panel in PANELS for target in panel["targets"]]
FIELDS = {
    "reading": set(QUANTITIES),
    "missing": set(QUANTITIES),
    "raw": set(QUANTITIES),
    "danger": {"p", "fwi", "ffmc_peak", "level", "name"},
    "hamlet": {"state", "rsrp", "lat", "lon", "commune"},
    "incident": {"text", "stage", "number"},
    "status": {field.name for field in msgspec.structs.fields(Status)},
}
MONDAY_MS = 1_763_942_400_000  # 2025-11-24T00:00:00Z: a weekly shard of InfluxDB begins
TAGS = {"gateway", "channel", "zone", "hamlet"}


def named(panel: dict[str, Any]) -> str:
    return str(panel["title"])


@BOARDS
def test_ids_are_unique_within_a_board(made: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in made["panels"]]
    assert len(ids) == len(set(ids))


def test_the_uids_do_not_move() -> None:
    told = [(made["uid"], made["title"], made["timezone"]) for made in ALL]
    zone = "Asia/Ho_Chi_Minh"
    assert told == [
        ("gocche-vuon-che", "Vườn chè", zone),
        ("gocche-chay-rung", "Cháy rừng", zone),
        ("gocche-phu-song", "Phủ sóng", zone),
    ]
    assert {json.dumps(panel["datasource"]) for panel in PANELS} == {'{"type": "influxdb", "uid": "gocche"}'}
    assert {target["datasource"]["uid"] for _, target in TARGETS} == {"gocche"}


@BOARDS
def test_panels_lie_within_the_columns_and_do_not_overlap(made: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], int] = {}
    for panel in made["panels"]:
        place = panel["gridPos"]
        assert place["w"] > 0 < place["h"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["id"]) == panel["id"], panel["title"]


def test_sections_stand_in_the_order_that_people_ask_for_them() -> None:
    garden, forest, signal = (
        [panel["title"].split(" · ")[-1] for panel in made["panels"] if panel["type"] == "row"] for made in ALL
    )
    assert signal == ["Hamlets now (within the last hour)", "Map", "Hamlets over time", "Modems and SIMs"]
    assert garden == ["Now (within the last hour)", "Soil", "Air and smoke", "Weather", "Signal", "Gateways"]
    assert forest == [
        "Now (within the last hour)",
        "Claims and sirens",
        "What the detectors see",
        "Fire weather",
        "Fire danger (30 days)",
    ]


def test_incidents_stand_across_the_courses_of_fire_alone() -> None:
    (incidents,) = FIRE["annotations"]["list"]
    assert BOARD["annotations"]["list"] == []
    assert incidents["datasource"]["uid"] == "gocche"
    assert incidents["target"].items() >= {key: incidents[key] for key in ("query", "textColumn", "tagsColumn")}.items()
    fields = set(re.findall(r'"(\w+)"', incidents["query"].partition(" FROM ")[0]))
    assert {incidents["textColumn"], incidents["tagsColumn"]} == fields <= FIELDS["incident"]


def test_every_level_that_the_server_writes_has_words() -> None:
    table = DangerTable(
        decision="0/2026", place="province", code="p01", valid_from=date(2025, 1, 1),
        up_to_1=1_000, up_to_2=2_500, up_to_3=5_000, up_to_4=10_000,
    )  # fmt: skip
    verdicts = [Verdict()] + [Verdict(Level(n, table, at_least=more)) for n in range(1, 6) for more in (False, True)]
    (options,) = (
        prop["value"][0]["options"]
        for panel in FIRE["panels"]
        for override in panel.get("fieldConfig", {}).get("overrides", [])
        if override["matcher"]["options"] == "level"
        for prop in override["properties"]
        if prop["id"] == "mappings"
    )
    assert {str(coded(verdict)) for verdict in verdicts} == set(options)
    assert options[str(coded(Verdict(Level(3, table))))]["text"] == "cấp III · level III"
    assert (
        options[str(coded(Verdict(Level(3, table, at_least=True))))]["text"] == "ít nhất cấp III · at least level III"
    )


def test_the_board_of_fire_asks_for_what_the_detector_sees_and_says() -> None:
    targets = [each for panel in FIRE["panels"] for each in panel.get("targets", [])]
    asked = {name for each in targets if '"danger"' not in each["query"] for name in _asked(each)}
    assert {*DETECTS, "smoke_claim", "siren"} <= asked == set(SEEN)


def _asked(target: dict[str, Any]) -> set[str]:
    return set(re.findall(r'\("(\w+)"\)', target["query"]))


@pytest.mark.parametrize("panel", PANELS, ids=named)
def test_a_panel_says_what_it_shows_in_both_languages(panel: dict[str, Any]) -> None:
    assert panel["title"].strip()
    vietnamese, english = panel["description"].split("\n\n")
    assert re.search(r"[ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹáàãéèíìóòõúùý]", vietnamese)
    assert english.isprintable()
    assert panel["targets"]


@pytest.mark.parametrize("panel", PANELS, ids=named)
def test_a_panel_has_a_unit_and_levels(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in set(looks.UNITS.values())
    steps = [step["value"] for step in defaults["thresholds"]["steps"]]
    assert steps[0] is None
    assert steps[1:] == sorted(steps[1:])


def test_every_unit_of_the_quantities_has_a_look() -> None:
    assert {row.unit for row in QUANTITIES.values()} == set(looks.UNITS)


def test_all_words_are_nfc() -> None:
    text = json.dumps(ALL, ensure_ascii=False)
    assert unicodedata.is_normalized("NFC", text)


def test_every_reason_has_words() -> None:
    assert set(looks.reasons()) == set(Reason)


@pytest.mark.parametrize(
    ("quantity", "code", "words"),
    [
        ("registration", "2", "đang tìm sóng · searching"),
        ("smoke_claim", "3", "nhiều khả năng cháy · probable"),
        ("siren", "1", "đang hú · sounding"),
    ],
)
def test_every_code_has_words_in_its_course(quantity: str, code: str, words: str) -> None:
    courses = [panel for panel in PANELS if panel["type"] == "state-timeline"]
    (mapping,) = next(_mappings(panel) for panel in courses if quantity in panel["targets"][0]["query"])
    assert {int(code) for code in mapping["options"]} == set(QUANTITIES[quantity].codes or {})
    assert mapping["options"][code]["text"] == words


@pytest.mark.parametrize("quantity", ["smoke_claim", "siren"])
def test_no_two_codes_of_fire_have_one_colour(quantity: str) -> None:
    (mapping,) = looks.field_look(quantity)["mappings"]
    colours = [option["color"] for option in mapping["options"].values()]
    assert len(set(colours)) == len(colours)


def _mappings(panel: dict[str, Any]) -> list[dict[str, Any]]:
    mappings: list[dict[str, Any]] = panel["fieldConfig"]["defaults"]["mappings"]
    return mappings


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("soil_moisture", 14.99, "khô hạn · dry"),
        ("soil_moisture", 15, "hơi khô · rather dry"),
        ("soil_moisture", 20, "đủ ẩm · moist"),
        ("air_temperature", 4.99, "nguy cơ sương giá · frost risk"),
        ("air_temperature", -3, "nguy cơ sương giá · frost risk"),
        ("air_temperature", 35, "nắng nóng · hot"),
        ("pm2_5", 54, "bình thường · normal"),
        ("pm2_5", 55, "nghi có khói · suspected smoke"),
        ("pm2_5", 150, "rất cao · very high"),
        ("co", 1.9, "bình thường · normal"),
        ("co", 2, "cao · high"),
        ("co", 20, "rất cao · very high"),
        ("lte_rsrp", -116, "rất yếu · very weak"),
        ("lte_rsrp", -115, "yếu · weak"),
        ("lte_rsrp", -105, "trung bình · fair"),
        ("nr_ss_rsrp", -95, "tốt · good"),
        ("nr_ss_rsrp", -80, "rất tốt · very good"),
    ],
)
def test_a_level_has_words_besides_its_colour(name: str, value: float, words: str) -> None:
    ranges = [mapping["options"] for mapping in looks.verdicts(name)]
    assert [r["result"]["text"] for r in ranges if r["from"] <= value <= r["to"]] == [words]


@pytest.mark.parametrize("quantity", ["pm2_5", "co"])
def test_levels_of_smoke_begin_where_the_edge_calls_it_urgent(quantity: str) -> None:
    urgency = QUANTITIES[quantity].urgency
    assert [level.at for level in looks.LEVELS[quantity][1:]] == list(getattr(urgency, "at", ()))


@pytest.mark.parametrize(("panel", "target"), TARGETS, ids=[named(panel) for panel, _ in TARGETS])
def test_a_query_asks_for_what_there_is(panel: dict[str, Any], target: dict[str, Any]) -> None:
    query = target["query"]
    asked = re.findall(r'SELECT ((?:(?!SELECT).)+) FROM "(\w+)"', query)
    assert asked
    assert target["rawQuery"]
    for selected, measurement in asked:
        fields = set(re.findall(r'"(\w+)"', re.sub(r' AS "[^"]+"', "", selected)))
        assert fields
        assert fields <= FIELDS[measurement]
    condition = query[query.index("WHERE") :]
    assert set(re.findall(r'"(\w+)"', condition)) <= TAGS | {"state"}
    assert "$timeFilter" in condition
    assert not re.search(r'"(Time|time)"', query)


@pytest.mark.parametrize(("panel", "target"), TARGETS, ids=[named(panel) for panel, _ in TARGETS])
def test_no_query_invents_a_series(panel: dict[str, Any], target: dict[str, Any]) -> None:
    """InfluxDB answers each field of a query for each series of it, with nulls where a series has no such field."""
    for selected in re.findall(r'SELECT ((?:(?!SELECT).)+) FROM "', target["query"]):
        assert not re.search(r"[(, ][*/]", f" {selected}".replace("*0", "")), "fields by pattern: those of the shard"
        fields = set(re.findall(r'\("(\w+)"\)', selected))
        assert len(fields) == 1, "each field that has an aggregate of its own makes a series of its own"


def test_what_is_missing_is_asked_of_every_quantity_in_each_measurement() -> None:
    tables = [panel for panel in BOARD["panels"] if "what is missing now" in panel["title"]]
    queries = [target["query"] for panel in tables for target in panel["targets"]]
    asked = [pair for query in queries for pair in re.findall(r'SELECT last\("(\w+)"\)[^F]+ FROM "(\w+)"', query)]
    pairs = [(name, measurement) for name in QUANTITIES for measurement in ("missing", "raw", "reading")]
    assert sorted(asked) == sorted(pairs)


@pytest.mark.parametrize("panel", PANELS, ids=named)
def test_a_request_line_is_one_that_web_servers_take(panel: dict[str, Any]) -> None:
    """All queries of a panel go in one GET; nginx, as it comes, refuses a request line of more than 8 KiB."""
    joined = ";".join(target["query"] for target in panel["targets"])
    assert len(urllib.parse.quote(joined, safe="!~*'()")) < 7_500


@pytest.mark.influx
@pytest.mark.parametrize("influxd", ["influxd1", "influxd2"])
@pytest.mark.parametrize("day", [0, 3, 6])
def test_the_database_names_what_lacks_a_value_and_nothing_else(
    request: pytest.FixtureRequest, tmp_path: Path, influxd: str, day: int
) -> None:
    """On the first, a middle and the last day of the week that makes a shard of the database."""
    server = request.getfixturevalue(influxd)
    table = influx_table(server, tmp_path)
    store = open_store(table, writer=True)
    store.setup()
    hour_ms = MONDAY_MS + day * 86_400_000
    everything = {channel: dict.fromkeys(QUANTITIES, Reason.SILENCE) for channel in ("modem", "gnss")}
    for number, at_ms in enumerate((hour_ms - 7 * 86_400_000, hour_ms - 1_000, hour_ms + 3_600_000)):
        store.commit([build.batch(epoch=f"{number:016x}", start_ms=at_ms, rows=[everything])], at_ms)
    hour: list[build.Row] = [
        {"modem": {"rssi": Reason.SILENCE, "lte_rsrp": Reason.SILENCE}, "gnss": {"lat": Reason.NO_FIX}},
        {"modem": {"rssi": Reason.NOT_REPORTED, "lte_rsrp": -101}, "gnss": {"lat": Reason.NO_FIX}},
    ]
    store.commit([build.batch(epoch="77" * 8, start_ms=hour_ms, step_ms=60_000, rows=hour)], hour_ms)
    store.close()
    within = f"time >= {hour_ms}ms AND time < {hour_ms + 3_600_000}ms"
    asked = question(QUANTITIES).replace("$timeFilter", within).replace("$gateway", ".*").replace("$channel", ".*")
    rows = {
        (series["tags"]["channel"], quantity, reason, time // 1_000_000 - hour_ms)
        for series in server.query(asked, table["database"])["results"][0]["series"]
        for time, reason, _, quantity in series["values"]
    }
    assert rows == {
        ("modem", NUMBERS["rssi"], Reason.NOT_REPORTED, 60_000),
        ("modem", NUMBERS["lte_rsrp"], Reason.SILENCE, 0),
        ("modem", NUMBERS["lte_rsrp"], 0, 60_000),
        ("gnss", NUMBERS["lat"], Reason.NO_FIX, 60_000),
    }


@BOARDS
def test_the_variables_exist_and_are_used(made: dict[str, Any]) -> None:
    names = {item["name"] for item in made["templating"]["list"]}
    queries = " ".join(target["query"] for panel in made["panels"] for target in panel.get("targets", []))
    queries += " ".join(mark["query"] for mark in made["annotations"]["list"])
    used = set(re.findall(r"\$(\w+)", queries)) - {"timeFilter", "__interval"}
    own = {"gocche-chay-rung": {"zone"}, "gocche-phu-song": {"hamlet"}}.get(made["uid"], set())
    assert used == names == {"gateway", "channel"} | own
    assert all("SHOW TAG VALUES" in item["query"] and item["allValue"] == ".*" for item in made["templating"]["list"])


def test_the_map_asks_our_own_pages_alone_and_lays_nobodys_tiles_beneath() -> None:
    (map_,) = (panel for panel in COVERAGE["panels"] if panel["type"] == "geomap")
    layers = [map_["options"]["basemap"], *map_["options"]["layers"]]
    assert [layer["type"] for layer in layers] == ["geojson", "geojson", "markers"]
    assert {layer["config"].get("src", "") for layer in layers} == {"https://goc.example.org/phu-song.geojson", ""}
    coloured = {rule["check"]["value"] for layer in layers for rule in layer["config"].get("rules", [])}
    assert coloured == set(STATES)
    (without,) = (panel for panel in coverage()["panels"] if panel["type"] == "geomap")
    assert [layer["type"] for layer in without["options"]["layers"]] == ["markers"]
    assert "http" not in json.dumps(without["options"])


def test_every_state_that_is_copied_has_words_and_a_colour_of_its_own() -> None:
    (panel,) = (one for one in COVERAGE["panels"] if one["type"] == "state-timeline" and '"hamlet"' in str(one))
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    assert set(mapping["options"]) == {str(coded_state(state)) for state in STATES}
    assert len({option["color"] for option in mapping["options"].values()}) == len(STATES)
    assert mapping["options"][str(coded_state("none"))]["text"] == "không có sóng · no signal"


def test_an_outage_is_a_gap_in_the_line() -> None:
    lines = [panel for panel in PANELS if panel["type"] in {"timeseries", "state-timeline"}]
    assert lines
    for panel in lines:
        assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] == 3_600_000
        assert all("fill(null)" in target["query"] for target in panel["targets"])


def test_directions_are_not_averaged() -> None:
    queries = [target["query"] for _, target in TARGETS if "wind_direction" in target["query"]]
    assert queries
    assert not any('mean("wind_direction")' in query for query in queries)


def test_the_tree_is_what_grafana_reads_and_the_same_each_time(tmp_path: Path) -> None:
    written = export(tmp_path, url="http://127.0.0.1:8086", user="gocche", installed_at="/etc/grafana/provisioning/")
    names = ["datasources/gocche.yaml", "dashboards/gocche.yaml", "dashboards/gocche/vuon-che.json"]
    names += ["dashboards/gocche/chay-rung.json", "dashboards/gocche/phu-song.json"]
    assert [str(path.relative_to(tmp_path)) for path in written] == names
    before = [path.read_bytes() for path in written]
    assert [
        p.read_bytes()
        for p in export(tmp_path, url="http://127.0.0.1:8086", user="gocche", installed_at="/etc/grafana/provisioning")
    ] == before
    assert [json.loads(text) for text in before[2:]] == [BOARD, FIRE, coverage()]
    assert '      path: "/etc/grafana/provisioning/dashboards/gocche"\n' in before[1].decode()
    assert "    allowUiUpdates: false\n" in before[1].decode()


def test_no_installed_at_means_the_folder_itself(tmp_path: Path) -> None:
    provider = export(tmp_path, url="http://127.0.0.1:8086")[1].read_text()
    assert f'path: "{tmp_path.resolve()}/dashboards/gocche"' in provider


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"generation": 1, "user": "gocche"}, 'password: "$__env{GOCCHE_INFLUX_PASSWORD}"'),
        ({"generation": 1, "user": "g", "secret_env": "OTHER"}, 'password: "$__env{OTHER}"'),
        ({"generation": 2}, 'httpHeaderValue1: "Token $__env{GOCCHE_INFLUX_TOKEN}"'),
        ({"generation": 3, "secret_env": "OTHER"}, 'httpHeaderValue1: "Token $__env{OTHER}"'),
    ],
)
def test_a_secret_is_only_named(tmp_path: Path, told: dict[str, Any], line: str) -> None:
    source = export(tmp_path, url="http://127.0.0.1:8086", **told)[0].read_text()
    assert f"    secureJsonData:\n      {line}\n" in source


def test_without_a_user_nothing_secret_is_asked_for(tmp_path: Path) -> None:
    assert "secureJsonData" not in export(tmp_path, url="http://127.0.0.1:8086")[0].read_text()


def test_a_dollar_is_not_a_variable_of_grafana(tmp_path: Path) -> None:
    source = export(tmp_path, url="http://127.0.0.1:8086", database="a$HOME", user='b"$x')[0].read_text()
    assert 'dbName: "a$$HOME"' in source
    assert 'user: "b\\"$$x"' in source


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"url": "127.0.0.1:8086"}, "http://"),
        ({"url": "http://"}, "host"),
        ({"url": "http://u:p@127.0.0.1:8086"}, "no user, password or query"),
        ({"url": "http://127.0.0.1:8086?p=x"}, "no user, password or query"),
        ({"url": "http://127.0.0.1:8086", "generation": 4}, "generation 4"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_written(tmp_path: Path, told: dict[str, Any], words: str) -> None:
    with pytest.raises((Refused, ValueError), match=re.escape(words)):
        export(tmp_path, **told)
    assert not list(tmp_path.iterdir())
