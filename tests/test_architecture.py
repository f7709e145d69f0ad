"""The house: which module may import which, and how big its rooms are.

A module imports only from floors below its own, or from its own folder. The floors are the table
of tools/house.py; CONTRIBUTING.md draws them.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.house import (
    FLOORS,
    MODULES,
    PARTED,
    ROOT,
    draw,
    draw_inside,
    imports,
    own_imports,
    room,
    tree,
)

PURE = ("tracebench.analysis.", "tracebench.model.", "tracebench.load.wire.")
IMPURE = {
    *("time", "datetime"),  # clocks
    *("random", "secrets", "uuid"),
    *("os", "io", "pathlib", "shutil", "tempfile", "mmap", "fcntl"),  # files
    *("socket", "ssl", "select", "selectors", "asyncio", "requests", "urllib3"),
    *("signal", "resource", "threading", "multiprocessing", "subprocess", "gc"),  # the process
}
LONGEST_FILE, LONGEST_FUNCTION = 400, 40
MEDIAN_FUNCTION = 8
MOST_ENTRIES = 12
"""Of a folder below the top level, whose entries are the floors that tools/house.py draws."""


def functions(module: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    body = function.body
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= (body[0].end_lineno or 0) - body[0].lineno + 1
    return lines


@pytest.mark.parametrize("module", MODULES)
def test_arrows_run_down(module: str) -> None:
    for target in own_imports(module):
        here, there = room(module), room(target)
        assert here == there or FLOORS[there] < FLOORS[here], f"{module} imports {target}"


def test_no_cycles() -> None:
    arrows = {m: {t for t in own_imports(m) if t in MODULES and t != m} for m in MODULES}
    while leaves := {m for m, targets in arrows.items() if not targets & arrows.keys()}:
        arrows = {m: t for m, t in arrows.items() if m not in leaves}
    assert not arrows, f"a cycle among {sorted(arrows)}"


@pytest.mark.parametrize("module", MODULES)
def test_imports_inside_functions_say_why(module: str) -> None:
    lines = MODULES[module].read_text().splitlines()
    for function in functions(module):
        for _, line in imports(function):
            assert "#" in lines[line - 1], f"{module}:{line} imports in a function without a reason"


@pytest.mark.parametrize("module", [m for m in MODULES if f"{m}.".startswith(PURE)])
def test_the_core_is_pure(module: str) -> None:
    used = {name.split(".")[0] for name, _ in imports(tree(module))}
    assert not used & IMPURE, f"{module} imports {sorted(used & IMPURE)}"
    names = (node for node in ast.walk(tree(module)) if isinstance(node, ast.Name))
    used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    assert not used & {"open", "print", "input"}, module
    attributes = {node.attr for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)}
    assert "random" not in attributes, module  # numpy's


@pytest.mark.parametrize("module", MODULES)
def test_rooms_are_small(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= LONGEST_FILE
    for function in functions(module):
        assert length(function) <= LONGEST_FUNCTION, f"{module}.{function.name}"


def test_most_functions_are_short() -> None:
    sizes = sorted(length(function) for module in MODULES for function in functions(module))
    assert sizes[len(sizes) // 2] <= MEDIAN_FUNCTION


@pytest.mark.parametrize("folder", sorted({MODULES[module].parent for module in MODULES}))
def test_folders_have_few_entries(folder: Path) -> None:
    entries = [one.name for one in folder.iterdir() if one.is_dir() or one.suffix == ".py"]
    entries = [one for one in entries if not one.startswith(("__", "build"))]
    if folder != ROOT / "tracebench":
        assert len(entries) <= MOST_ENTRIES, sorted(entries)


def test_the_drawing_in_the_paper_is_true() -> None:
    assert draw() in (ROOT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize("folder", PARTED)
def test_rooms_of_a_folder_lean_one_way(folder: str) -> None:
    """Drawing it fails where two rooms lean on each other."""
    assert draw_inside(folder) in (ROOT / "CONTRIBUTING.md").read_text()
