"""The rules of the house that a machine can keep: sizes, fan-out, one catch-all a loop, no place names in code."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("wire", "detect", "settings", "at", "disk", "edge", "cloud", "gocche")
MODULES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
WIRING = {
    "edge/agent.py",
    "cloud/rooms/ingest.py",
    "cloud/rooms/alerts.py",
    "cloud/rooms/coverage.py",
    "cloud/rooms/pages.py",
    "cloud/rooms/staff.py",
    "cloud/rooms/duty.py",
    "cloud/staff/app.py",
    "cloud/staff/entrance/gate.py",
    "cloud/alerts/engine.py",
    "cloud/pages/app.py",
    "gocche/reference.py",
    "gocche/child.py",
    "gocche/up.py",
}
MAX_CLASS, MAX_FUNCTION, MAX_IMPORTS = 250, 60, 12


def name(file):
    return str(file.relative_to(ROOT))


def lines(node):
    return node.end_lineno - node.lineno + 1


def says_in_a_sentence_what_it_is(file, tree, nodes):
    if tree.body and not ast.get_docstring(tree):
        yield "has no docstring"


def classes_and_functions_stay_readable(file, tree, nodes):
    for node in nodes:
        if isinstance(node, ast.ClassDef) and lines(node) > MAX_CLASS:
            yield f"class {node.name} has {lines(node)} lines"
        elif isinstance(node, ast.FunctionDef) and node.name != "_parser" and lines(node) > MAX_FUNCTION:
            yield f"{node.name} has {lines(node)} lines"


def leans_on_few_others(file, tree, nodes):
    used = set()
    for node in tree.body:  # what stands under TYPE_CHECKING is for readers only
        if isinstance(node, ast.Import):
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module not in {"__future__", "typing", "functools", "itertools"}:
            used.add(node.module)
    if len(used) > MAX_IMPORTS and name(file) not in WIRING:
        yield f"imports {len(used)}: {sorted(used)}"


def a_catch_all_stands_once_in_a_function_and_none_is_bare(file, tree, nodes):
    for function in (node for node in nodes if isinstance(node, ast.FunctionDef)):
        handlers = [node for node in ast.walk(function) if isinstance(node, ast.ExceptHandler)]
        catch_alls = [one for one in handlers if isinstance(one.type, ast.Name) and one.type.id == "Exception"]
        if len(catch_alls) > 1:
            yield f"{function.name} catches all {len(catch_alls)} times"
        if any(one.type is None for one in handlers):
            yield f"{function.name} has a bare except"


def no_place_name_stands_in_code(file, tree, nodes):
    """Places are data with dates of validity; a code, key, topic or URL that holds one would rot."""
    docs = {
        ast.get_docstring(node, clean=False)
        for node in nodes
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
    }
    said = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    for node in said:
        if node.value not in docs and re.search(r"Yên Bái|Lào Cai|Suối Giàng|Chế Tạo|Háng Tày", node.value):
            yield f"line {node.lineno} names a place"


RULES = (
    says_in_a_sentence_what_it_is,
    classes_and_functions_stay_readable,
    leans_on_few_others,
    a_catch_all_stands_once_in_a_function_and_none_is_bare,
    no_place_name_stands_in_code,
)


def breaches(file, text):
    """Return what a module breaks, by the names of the rules."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    return [(rule.__name__, said) for rule in RULES for said in rule(file, tree, nodes)]


@pytest.mark.parametrize("file", MODULES, ids=name)
def test_a_module_keeps_the_rules_of_the_house(file):
    assert breaches(file, file.read_text(encoding="utf-8")) == []


def test_each_rule_can_be_broken():
    bad = [
        *[f"import module_{number}" for number in range(MAX_IMPORTS + 1)],
        "def long():",
        *["    try: pass\n    except Exception: pass"] * MAX_FUNCTION,
        "def bare():\n    try: pass\n    except: return 'Háng Tày'",
        "class Long:",
        *["    a = 1"] * MAX_CLASS,
    ]
    found = breaches(ROOT / "edge" / "bad.py", "\n".join(bad))
    assert {rule for rule, _ in found} == {rule.__name__ for rule in RULES}
    assert {said for _, said in found} >= {"bare has a bare except", f"class Long has {MAX_CLASS + 1} lines"}


def test_locks_name_versions_and_hashes_but_no_address():
    for lock in (ROOT / "requirements").glob("*.lock"):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text, lock.name
        assert text.count("==") <= text.count("--hash=sha256:"), lock.name


def test_nothing_committed_names_a_home_of_some_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    rule = re.compile(r"(?:^|[^\w.])/(?:root|home)/\w", re.MULTILINE)
    for file in listed.stdout.split():
        path = ROOT / file
        if path.suffix not in {".png", ".json"} and path.is_file():
            hit = rule.search(path.read_text(encoding="utf-8", errors="replace"))
            assert not hit, f"{file}: {hit}"
