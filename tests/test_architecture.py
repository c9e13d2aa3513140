"""Tests about the code itself: who imports whom, who writes status, what a fragment is."""

import ast
import gc
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("projects", "tools", "agents", "workflows", "governance", "runs", "analytics")
ORDER = ("controlplane.kit", *APPS, "controlplane")
STATUS_WRITERS = {
    "lifecycle.py",
    "statements.py",
    "writing.py",
    "states.py",
    "starting.py",
    "sweep.py",
    "services.py",
}


def modules(*folders: str) -> Iterator[Path]:
    """Python files of the product, without tests and migrations."""
    for folder in folders or (*APPS, "controlplane"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not {"tests", "migrations"} & set(path.relative_to(ROOT).parts):
                yield path


def room(name: str) -> int | None:
    """The place of a dotted module in the import order; None for what is not ours."""
    if name == "controlplane.kit" or name.startswith("controlplane.kit."):
        return 0
    head = name.split(".")[0]
    return ORDER.index(head) if head in ORDER else None


@cache
def parsed(path: Path) -> ast.Module:
    """A file's tree. Without collecting garbage meanwhile: what a finalizer of another test does in
    the middle of it makes Python 3.11 lose count of the depth."""
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


def imports(path: Path) -> Iterator[tuple[ast.stmt, str, bool]]:
    """(statement, imported module, inside a function) of every import, function bodies included."""
    tree = parsed(path)
    nested = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            # `from controlplane import kit` names a module; `from x.models import Y` does not.
            names = [f"{base}.{a.name}" if base == "controlplane" else base for a in node.names]
        for name in names:
            yield node, name, id(node) in nested


def test_each_app_imports_only_to_its_left() -> None:
    wrong = []
    for path in modules():
        mine = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for node, name, _ in imports(path):
            theirs = room(name)
            if theirs is not None and mine is not None and theirs > mine:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports {name}")
    assert wrong == []


def test_nothing_is_imported_inside_a_function() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules()
        for node, _, nested in imports(path)
        if nested
    ]
    assert wrong == []


def test_no_module_is_a_dump() -> None:
    names = {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert [str(p) for p in modules() if p.name in names] == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules()
        if path.read_text().strip() and not ast.get_docstring(parsed(path))
    ]
    assert silent == []


def test_only_the_lifecycle_writes_the_status_of_runs_and_steps() -> None:
    # Between SET and WHERE: what a statement asks for is no writing.
    upto = r"(?:(?!\bWHERE\b|\bFROM\b)[^;])*?"
    pattern = re.compile(rf"\bUPDATE (run|step)\b{upto}\bSET\b{upto}\bstatus\b", re.S)
    orm = re.compile(r"(Run|Step)\.objects[^\n]*\.update\([^)]*status")
    wrong = [
        str(path.relative_to(ROOT))
        for path in modules()
        if (pattern.search(path.read_text()) or orm.search(path.read_text()))
        and not (path.parent.name == "runs" and path.name in STATUS_WRITERS)
        and path.parent.name != "seeding"  # makes finished runs up, in bulk
    ]
    assert wrong == []


def test_a_fragment_never_extends_and_a_page_does() -> None:
    wrong = []
    for path in (ROOT / "templates").rglob("*.html"):
        extends = "{% extends" in path.read_text()
        if path.name.startswith("_") and extends:
            wrong.append(f"{path.relative_to(ROOT)} is a fragment and extends")
    assert wrong == []


@pytest.mark.parametrize(
    "pattern", [r"<script>", r"<style", r"\sstyle=\"", r"\son(click|change|submit|load|input)="]
)
def test_templates_hold_no_inline_code_or_style(pattern: str) -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "templates").rglob("*.html")
        if re.search(pattern, path.read_text())
    ]
    assert found == []
