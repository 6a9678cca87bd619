"""The bench must not rot: its cheap parts run and print every row. No figure is judged here; `make bench` measures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bench import __main__ as door
from bench import coverage_page, decode, disk, drain, field, reach, report, size, start, visits, walkers, weight
from cloud.coverage.into.phone import Door


def rows(printed: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines()[2:]]


def test_bytes_a_value_has_every_scene_and_count_of_rows() -> None:
    printed = rows(size.run(quick=True))
    assert [(scene, every) for scene, every, *_ in printed] == [(s, str(r)) for s in size.SCENES for r in size.ROWS]
    assert all(cell.endswith("×") for row in printed for cell in (row[4], row[6]))


def test_decoding_has_every_count_of_rows_and_both_sides_end_at_the_same_values() -> None:
    printed = rows(decode.run(quick=True))
    assert [row[0] for row in printed] == [str(every) for every in decode.ROWS]
    assert all(cell.endswith("×") for row in printed for cell in row[-3:])


def test_what_the_bench_measures_on_is_what_the_cloud_stores() -> None:
    readings = list(field.polled(field.five(1, absent=0.3), 0, 6 * field.EVERY_MS))
    lines = decode.lines(field.packed(readings)).splitlines()
    assert sum(line.startswith("missing,") for line in lines) == sum(bool(reading.reasons) for reading in readings)
    assert sum(line.startswith("reading,") for line in lines) == sum(bool(reading.values) for reading in readings)


def test_what_lies_on_disk_is_compared_with_the_same_values_under_whole_milliseconds() -> None:
    batches = list(disk._batches(field.five(1), 0.01))
    plain = list(disk._plain(batches))
    assert len(plain) == sum(batch.n for batch in batches)
    assert all("seq=" not in line and line.endswith("000000") for line in plain)
    assert disk._sqlite(batches) > 0


def test_the_start_of_the_books_is_measured_and_adds_up() -> None:
    row = rows(start.run(quick=True))[0]
    assert (row[0], row[1], row[-1][-1]) == ("SQLite", "20,000", "×")


def test_what_a_telephone_of_the_bench_says_is_a_sample_a_moment() -> None:
    heard, at, found = Door(), datetime(2026, 11, 27, 10, 0, tzinfo=UTC), []
    for moment in range(1, 6):
        now_ms = round(at.timestamp() * 1000) + 1_000 * moment
        for stream, payload in walkers.records(7, moment, at + timedelta(seconds=moment)):
            found += heard.hear("hang-tay", stream, payload, now_ms)
    found += heard.rest(now_ms)
    assert [one.time_ms - found[0].time_ms for one in found] == [0, 1_000, 2_000, 3_000, 4_000]
    assert all(one.nr and one.lte for one in found)
    assert not heard.counted


def test_twenty_people_of_one_level_are_told_by_every_channel_within_its_limit() -> None:
    printed = rows(reach.run(quick=True))
    assert [row[0] for row in printed] == list(reach.LIMITS_S)
    assert all(float(row[3]) < float(row[4]) for row in printed)


def test_a_drain_tells_whose_cpu_bounds_it_and_how_much_that_would_carry() -> None:
    line = drain.told("6 rows", 6, 600_000, drain.Drained(1_000, 500e-6, 100e-6, 50e-6), slowest=500)
    assert line == ("6 rows", "1,000", "180,000", "600,000", "2.00×", "500", "100", "50.0", "0.65", "server", "360,000")
    sender = drain.Drained(1_000, 100e-6, 200e-6, 50e-6)
    assert (sender.busiest, drain.told("full", 66, None, sender, 500)[4]) == ("gateway", "–")


def test_every_public_page_is_weighed_in_both_languages_and_a_trees_page_is_within_its_limit() -> None:
    pytest.importorskip("brotli", reason="brotli absent: make test installs it")
    printed = rows(weight.run(quick=True))
    assert [row[0] for row in printed] == [f"{name}, {lang}" for lang in weight.LANGS for name in weight.PAGES]
    assert all(float(row[-1].rstrip("×")) < 1 for row in printed if row[-1] != "–")


def test_the_document_has_its_markers_and_only_the_figures_between_them_change() -> None:
    document = door.DOCUMENT.read_text(encoding="utf-8")
    changed = door.written(document, "figures of tomorrow")
    assert "figures of tomorrow" in changed
    assert (changed.split(door.BEGIN)[0], changed.split(door.END)[1]) == (
        document.split(door.BEGIN)[0],
        document.split(door.END)[1],
    )
    with pytest.raises(ValueError, match="end of figures"):
        door.written(document.replace(door.END, ""), "")


def test_the_section_of_a_part_is_renewed_alone_and_one_that_is_new_is_the_last() -> None:
    document = f"text\n{door.BEGIN}\n\nmachine: m\n\n### A\n\nold a\n\n### B\n\nold b\n\n{door.END}\nmore"
    changed = door.renewed(document, {"A": "### A\n\nnew a", "C": "### C\n\nnew c"})
    figures = "machine: m\n\n### A\n\nnew a\n\n### B\n\nold b\n\n### C\n\nnew c"
    assert changed == f"text\n{door.BEGIN}\n\n{figures}\n\n{door.END}\nmore"
    document = door.DOCUMENT.read_text(encoding="utf-8")
    assert door.renewed(document, {}) == document


def test_an_unknown_part_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        door.main(["pipelin"])
    assert (ended.value.code, "pipelin" in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize(
    ("value", "said"), [(0.456, "0.46"), (12.34, "12.3"), (123.4, "123"), (1_834_567, "1,830,000")]
)
def test_a_figure_has_three_digits_that_count(value: float, said: str) -> None:
    assert report.figure(value) == said


def test_what_wrk_says_is_read() -> None:
    told = """Running 3s test @ http://127.0.0.1:40681/T/7K3MQP
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     5.95ms    6.71ms  68.24ms   90.53%
    Req/Sec     6.57k     1.04k    8.31k    70.00%
  Latency Distribution
     50%    4.21ms
     99%  870.00us
  19619 requests in 3.00s, 304.90MB read
Requests/sec:   6533.24
Transfer/sec:    101.53MB
"""
    assert visits.parsed(told, 0.25) == visits.Visits(6533.24, 0.87, 0.25)


@pytest.mark.journey  # seconds of a core
def test_the_pages_of_coverage_are_measured_each() -> None:
    printed = rows(coverage_page.run(quick=True).partition("\n\n")[2])
    assert [row[0] for row in printed] == list(coverage_page.PAGES)
    assert all(float(row[1]) > 0 for row in printed)
