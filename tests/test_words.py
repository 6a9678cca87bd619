"""What people are told is in Vietnamese and in English, wherever it is raised; and its facts fill in.

The walk below reads the code: every sentence that is asked for must stand in a words.toml, in both languages, with the
facts that the place gives; and no sentence stands there that nobody says.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import shlex
import string
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from gocche.__main__ import main
from gocche.command_line import parser
from gocche.words import both, words
from settings.words import because
from settings.words import words as words_of

ROOT = Path(__file__).parents[1]
LANGUAGES = ("vi", "en")
VIETNAMESE = re.compile("[àáâãèéêìíòóôõùúýăđĩũơưạ-ỹ]", re.IGNORECASE)
SHORT = {
    "SheetError": ("cloud.registry", "sheet"),
    "Bad": ("cloud.registry", "row"),
    "BadLabel": ("cloud.labels", "label"),
    "NoHotspots": ("cloud.hotspots", "hotspots"),
    "NotInvited": ("cloud.access", "invite"),
    "note": ("edge", "note"),
    "fault": ("edge", "fault"),
    "why": ("edge", "why"),
    "sending": ("edge", "sending"),
}
PACKAGES = {
    *("cloud.config", "cloud.registry", "cloud.labels", "cloud.danger", "cloud.hotspots", "cloud.staff"),
    *("settings", "edge", "cloud.access", "cloud.alerts.week"),
}
FINDINGS = {"edge": ("settings", "edge.config"), "cloud": ("settings", "cloud.config"), "settings": ("settings",)}


@cache
def code():
    """Return the nodes of each file."""
    return {
        file: list(ast.walk(ast.parse(file.read_text("utf-8"))))
        for package in ("settings", "disk", "edge", "cloud", "gocche")
        for file in sorted((ROOT / package).rglob("*.py"))
    }


def calls(*names):
    """Yield (file, call) of each call of these names, as a name or as an attribute."""
    for file, nodes in code().items():
        for node in nodes:
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
                if name in names:
                    yield file, node


def strings(nodes):
    return [one.value for one in nodes if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def facts(text):
    return {name.partition(".")[0] for _, name, _, _ in string.Formatter().parse(text) if name}


def filled(told, given):
    """Each language's sentences with these facts: English has `why` where Vietnamese has `why_vi`."""
    for language in LANGUAGES:
        for text in told[language] if isinstance(told[language], list) else [told[language]]:
            yield text.format(**given)


# --- findings of devices.toml and cloud.toml


def findings(package):
    rows = words_of(*FINDINGS[package])
    return {kind: row for kind, row in rows.items() if isinstance(row.get("vi"), list) and kind != "suggestion"}


def test_every_finding_that_is_raised_has_both_languages_and_its_facts():
    seen = set()
    for file, call in calls("ConfigError", "Finding", "Unfit"):
        at = 1 if call.func.id == "Unfit" else 2
        if len(call.args) <= at:
            continue
        package = file.relative_to(ROOT).parts[0]
        for kind in strings(ast.walk(call.args[at])) if not isinstance(call.args[at], ast.Attribute) else []:
            rows = findings(package)
            assert kind in rows, f"{file.name}:{call.lineno}: {kind} stands in no words.toml"
            seen.add(kind)
    assert len(seen) > 40


@pytest.mark.parametrize("package", FINDINGS)
def test_a_finding_is_a_rule_and_a_remedy_in_both_languages_with_the_same_facts(package):
    for kind, row in findings(package).items():
        assert row.keys() == set(LANGUAGES), kind
        assert [len(row[language]) for language in LANGUAGES] == [2, 2], kind
        vi, en = ({name for text in row[language] for name in facts(text)} for language in LANGUAGES)
        assert {name.removesuffix("_vi") for name in vi} == en, kind
        assert VIETNAMESE.search(row["vi"][0] + row["vi"][1].replace("suggestion_vi", "ế")), kind


def test_no_finding_stands_there_that_nobody_raises():
    said = {text for nodes in code().values() for text in strings(nodes)}
    for package in FINDINGS:
        assert findings(package).keys() <= said


@pytest.mark.parametrize(
    ("said", "vi", "en"),
    [
        (FileNotFoundError(2, "x"), "không có tệp hay thư mục này", "No such file or directory"),
        ("mail.vn:587: [Errno -2] Name or service not known", "mail.vn:587: không có máy nào tên như vậy",
         "mail.vn:587: Name or service not known"),
        (("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate is not valid for"
         " 'a.vn'. (_ssl.c:1006)"), "chứng thư không được tin: nó mang tên khác",
         "certificate verify failed: it is for another name"),
        ("said by nobody: before", "said by nobody: before", "said by nobody: before"),
    ],
)  # fmt: skip
def test_what_a_system_says_is_told_without_what_stands_around_it(said, vi, en):
    assert because(said) == {"why": en, "why_vi": vi}


def test_a_folder_where_no_server_ran_is_told_in_both_languages_with_the_remedy(capsys, tmp_path):
    sample = str(ROOT / "config")
    assert main(["audit", "--config", sample, "--data", str(tmp_path)]) == 1
    vi, en = capsys.readouterr().err.splitlines()
    assert vi.endswith("sau --data là thư mục của nó (dưới systemd: /var/lib/gocche-cloud)")
    assert en.endswith("--data names its folder (under systemd: /var/lib/gocche-cloud)")
    assert main(["quarantine", "--config", sample, "--data", str(tmp_path)]) == 2
    assert "holds no file of the server" in capsys.readouterr().err


# --- sentences of commands


def sentences(package):
    """Yield (part, name, told) of each sentence of a words.toml that is asked for by part and name."""
    for part, rows in words_of(package).items():
        if isinstance(rows, dict) and part not in {"meaning", "because", "types", "option"}:
            for name, told in rows.items():
                if isinstance(told, dict):
                    yield part, name, told


def asked():
    """Yield (where, words.toml's package, part, name, facts or None for **) of every call that tells a sentence."""
    for file, call in calls("said", "both", "Refused", "Taken", *SHORT):
        names = [one.value if isinstance(one, ast.Constant) else None for one in call.args]
        names = [*SHORT.get(getattr(call.func, "id", ""), ()), *names]
        if file.parent.name != "settings" and names and names[0] not in PACKAGES:
            names.insert(0, "gocche")
        given = {key.arg for key in call.keywords}
        if len(names) >= 3 and None not in names[:3]:
            yield f"{file.name}:{call.lineno}", *names[:3], None if None in given else given


def test_every_sentence_that_is_asked_for_stands_there_and_gets_its_facts():
    seen = 0
    for where, package, part, name, given in asked():
        told = words_of(package)[part].get(name)
        assert told, f"{where}: {package} has no [{part}.{name}]"
        wanted = {fact for language in LANGUAGES for fact in facts(told[language])}
        assert given is None or wanted <= given, f"{where}: [{part}.{name}] asks for {wanted - given}"
        seen += 1
    assert seen > 40


@pytest.mark.parametrize("package", ["gocche", "cloud.config", "settings", "edge"])
def test_a_sentence_has_both_languages_and_fills_in(package):
    for part, name, told in sentences(package):
        if part == "symbol":
            continue
        assert told.keys() == set(LANGUAGES), f"{part}.{name}"
        given = dict.fromkeys({fact for language in LANGUAGES for fact in facts(told[language])}, 5)
        assert len(set(filled(told, given))) == 2 or part in {"unit", "status"}, f"{part}.{name} is the same in both"


def test_one_language_is_not_told_in_the_other():
    for part, name, told in (*sentences("gocche"), *sentences("edge")):
        if len(told["en"]) > 30:
            assert VIETNAMESE.search(told["vi"]), f"{part}.{name}"
            assert not VIETNAMESE.search(re.sub(r"{\w+}", "", told["en"])), f"{part}.{name}"


def test_both_languages_are_printed_vietnamese_first():
    vi, en = both("audit", "unknown", unknown=7).splitlines()
    assert vi.startswith("→ KHÔNG KHỚP: 7 ")
    assert en.startswith("→ IT DOES NOT COME OUT: 7 ")


# --- the command line


def commands(under=None, path="gocche"):
    """Yield (words, parser) of every command, groups of commands too."""
    here = under or parser()
    yield path, here
    for action in here._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                yield from commands(below, f"{path} {word}")


def in_both(text):
    vi, dot, en = text.partition(" · ")
    return dot and vi and en and VIETNAMESE.search(vi) and not VIETNAMESE.search(en)


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=lambda one: one if isinstance(one, str) else "")
def test_every_command_and_every_option_is_explained_in_both_languages(path, command):
    for action in command._actions:
        if action.help == argparse.SUPPRESS:
            continue
        if not isinstance(action, argparse._SubParsersAction):
            assert in_both(action.help), f"{path} {action.dest}: {action.help}"
        else:
            for choice in action._choices_actions:
                assert in_both(choice.help), f"{path} {choice.dest}: {choice.help}"
    told = command.format_help()
    assert "usage: " + path in told
    for english in ("positional arguments", "show this help message", "optional arguments"):
        assert english not in told


def test_every_command_has_an_example_that_parses():
    told = words()["example"]
    for path, command in commands():
        if any(isinstance(action, argparse._SubParsersAction) for action in command._actions):
            continue
        examples = told[path.removeprefix("gocche ")]
        assert examples
        for one in examples:
            assert one["type"] in command.format_help()
            typed = shlex.split(one["type"].removeprefix("sudo ").partition(";")[0])
            assert " ".join(typed).startswith(path)
            parser().parse_args(typed[1:])


def refused(capsys, *words):
    assert main(list(words)) == 2
    lines = capsys.readouterr().err.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("gocche: "))
    return lines[at].removeprefix("gocche: ").partition(";")[0], lines[at + 1].strip().partition(";")[0]


@pytest.mark.parametrize(
    ("typed", "vi", "en"),
    [
        ("", "còn thiếu tên lệnh", "a command is missing"),
        ("upp", 'không có lệnh "upp": có phải "up"? có: ', 'there is no command "upp": did you mean "up"? there are: '),
        ("grafana exprot", 'có phải "export"?', 'did you mean "export"?'),
        ("read", "còn thiếu: BUS ADDRESS|CHANNEL", "is missing: BUS ADDRESS|CHANNEL"),
        ("devices", "còn thiếu: --ports", "is missing: --ports"),
        ("agent --data", "--data: sau nó phải có giá trị", "--data: a value must follow it"),
        ("status --jsn", "không hiểu: --jsn", "not understood: --jsn"),
        ("status --json=3", "--json không nhận giá trị", "--json takes no value"),
        ("cloud --b", "--broker: sau nó", "--broker: a value"),
        ("devices --ports x --seed q", "--seed: q không phải là số", "--seed: q is no number"),
        ("grafana export x --generation 9", '"9" không dùng được: có: 1, 2, 3', '"9" does not do: there are: 1, 2, 3'),
        ("devices --p x", "--p có thể là --ports, --pace", "--p could be --ports, --pace"),
        ("broker --listen x", "'x' không phải HOST:PORT", "'x' is not HOST:PORT"),
        ("broker --listen 192.0.2.1:0", "không có mật khẩu, chỉ nghe trong máy này", "listens on loopback only"),
        ("grafana export x --url x", "--url 'x' không dùng được", "url 'x': must begin with http"),
        ("grafana export x --url http://u:p@x", "--url không được chứa tên, mật khẩu", "must carry no user"),
        ("cloud --config none", "none: không đọc được (không có tệp hay thư mục này)", "none: cannot be read (No such"),
        ("audit --config none", "none: không đọc được", "none: cannot be read"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_refused_in_both_languages(capsys, typed, vi, en):
    told = refused(capsys, *typed.split())
    assert vi in told[0]
    assert en in told[1]


def test_everything_that_argparse_can_say_against_a_command_line_is_known():
    """A new Python may say something new: then a row is to be added to [[usage]] of words.toml."""
    source = inspect.getsource(argparse)
    said = set(re.findall(r"""_\((?:'([^']*)'|"([^"]*)")""", source))
    messages = {one or other for one, other in said if (one or other).count("%")}
    ours = {  # what a programmer sees, or what argparse puts around the others
        "argument %(argument_name)s: %(message)s", "%(prog)s: error: %(message)s\\n", "%r is not callable",
        "conflicting subparser: %s", "conflicting subparser alias: %s", 'argument "-" with mode %r',
        "cannot merge actions - two groups are named %r", "dest= is required for options like %r",
        "invalid conflict_resolution value: %r", "invalid option string %(option)r: ", "unexpected option string: %s",
        "unknown parser %(parser_name)r (choices: %(choices)s)", "can't open '%(filename)s': %(error)s",
    }  # fmt: skip
    rows = [row["found"] for row in words()["usage"]]
    for message in messages - ours:
        example = re.sub(r"%\(?\w*\)?([rs])", lambda kind: "'x'" if kind[1] == "r" else "x", message)
        example = example.replace("'x' value", "x value").replace("invalid x value", "invalid int value")
        told = [example, f"argument --x: {example}"]
        assert any(re.fullmatch(row, one, re.DOTALL) for row in rows for one in told), message


# --- where the configuration is looked for


def test_the_configuration_is_named_once(tmp_path, monkeypatch, capsys):
    """--config is a file or a folder; without it the folder GOCCHE_CONFIG is meant, and /etc/gocche else."""
    sample = ROOT / "config"
    monkeypatch.setenv("GOCCHE_CONFIG", str(tmp_path))
    assert f"đã tìm {tmp_path}/devices.toml" in refused(capsys, "check-config")[0]
    monkeypatch.setenv("GOCCHE_CONFIG", str(sample))
    assert main(["check-config"]) == 0
    assert str(sample / "devices.toml") in capsys.readouterr().out
    assert main(["check-config", str(sample)]) == 0
    assert main(["audit", "--data", str(tmp_path)]) in {0, 1}


def test_a_command_starts_without_the_libraries_of_others():
    """`gocche status` on a gateway must not load what only the server has."""
    program = "import sys, gocche.__main__ as door; door.parser(); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert not {"msgspec", "paho", "starlette", "amqtt", "serial"} & set(ran.stdout.split())


# --- the documents of the field and of who runs the server


@pytest.mark.parametrize("name", ["install.md", "operate.md", "grafana.md", "add-a-sensor.md"])
def test_every_paragraph_of_a_field_document_is_in_vietnamese_or_follows_one_that_is(name):
    text = re.sub(r"^```.*?^```$", "", (ROOT / "docs" / name).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    before = ""
    for paragraph in filter(str.strip, re.split(r"\n\s*\n", text)):
        assert VIETNAMESE.search(before + paragraph), f"{name}: {paragraph[:80]}"
        before = paragraph
