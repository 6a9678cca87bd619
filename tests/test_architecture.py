"""The rules of the house that a machine can keep: sizes, fan-out, one catch-all a loop, no place names in code."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("wire", "settings", "disk", "edge", "cloud", "gocche")
MODULES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
WIRING = {
    "edge/agent.py",
    "cloud/rooms/ingest.py",
    "cloud/rooms/alerts.py",
    "cloud/rooms/pages.py",
    "cloud/rooms/staff.py",
    "cloud/staff/app.py",
    "cloud/staff/gate.py",
    "cloud/alerts/engine.py",
    "cloud/pages/app.py",
    "gocche/reference.py",
    "gocche/child.py",
    "gocche/up.py",
}
MAX_CLASS, MAX_FUNCTION, MAX_IMPORTS = 250, 60, 12


def name(file):
    return str(file.relative_to(ROOT))


@pytest.fixture(params=MODULES, ids=name, scope="module")  # each is read once for all rules
def module(request):
    tree = ast.parse(request.param.read_text(encoding="utf-8"))
    return request.param, tree, list(ast.walk(tree))


def lines(node):
    return node.end_lineno - node.lineno + 1


def test_a_module_says_in_a_sentence_what_it_is(module):
    file, tree, _ = module
    assert ast.get_docstring(tree) or not tree.body, name(file)


def test_classes_and_functions_stay_readable(module):
    file, _, nodes = module
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            assert lines(node) <= MAX_CLASS, f"{name(file)}: class {node.name} has {lines(node)} lines"
        elif isinstance(node, ast.FunctionDef) and node.name != "_parser":
            assert lines(node) <= MAX_FUNCTION, f"{name(file)}: {node.name} has {lines(node)} lines"


def test_a_module_leans_on_few_others(module):
    file, tree, _ = module
    if name(file) in WIRING:
        return
    used = set()
    for node in tree.body:  # what stands under TYPE_CHECKING is for readers only
        if isinstance(node, ast.Import):
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module not in {"__future__", "typing", "functools", "itertools"}:
            used.add(node.module)
    assert len(used) <= MAX_IMPORTS, f"{name(file)} imports {len(used)}: {sorted(used)}"


def test_a_catch_all_logs_and_stands_once_in_a_function(module):
    file, _, nodes = module
    for function in (node for node in nodes if isinstance(node, ast.FunctionDef)):
        handlers = [node for node in ast.walk(function) if isinstance(node, ast.ExceptHandler)]
        catch_alls = [one for one in handlers if isinstance(one.type, ast.Name) and one.type.id == "Exception"]
        assert len(catch_alls) <= 1, f"{name(file)}: {function.name}"
        bare = [one for one in handlers if one.type is None]
        assert not bare, f"{name(file)}: {function.name} has a bare except"


def test_no_place_name_stands_in_code(module):
    """Places are data with dates of validity; a code, key, topic or URL that holds one would rot."""
    file, _, nodes = module
    docs = {
        ast.get_docstring(node, clean=False)
        for node in nodes
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
    }
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docs:
            assert not re.search(r"Yên Bái|Lào Cai|Suối Giàng|Chế Tạo|Háng Tày", node.value), (
                f"{name(file)}:{node.lineno}"
            )


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
