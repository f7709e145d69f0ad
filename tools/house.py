"""The house: its floors, and who leans on whom, drawn from the imports: `python -m tools.house`.

The floors of the house are a table, for they are what we intend; those of a folder's own rooms
follow from what imports what.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = {
    "tracebench.api": 10,
    "tracebench.__main__": 10,
    "tracebench.cli": 9,
    "tracebench.studies": 8,
    "tracebench.benchmark": 6,
    "tracebench.archive": 5,
    "tracebench.example": 5,
    "tracebench.load": 5,
    "tracebench.tracing": 4,
    "tracebench.report": 4,
    "tracebench.gauges": 4,
    "tracebench.system": 3,
    "tracebench.analysis": 2,
    "tracebench.model": 1,
    "server_middleware": 0,
    "tracebench.protos": 0,
    "tracebench": 0,
}

PARTED = (
    "tracebench.load",
    "tracebench.tracing",
    "tracebench.analysis",
    "tracebench.model",
    "tracebench.report",
    "server_middleware",
)
"""Folders that have rooms of their own."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for folder in ("tracebench", "server_middleware")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "_pb2" not in path.name and "build" not in path.relative_to(ROOT).parts
}


def room(module: str) -> str:
    """The longest entry of the table that the module lies under."""
    return max(
        (name for name in FLOORS if module == name or module.startswith(name + ".")), key=len
    )


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def imports(node: ast.AST) -> Iterator[tuple[str, int]]:
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, child.lineno) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            for alias in child.names:
                full = f"{child.module}.{alias.name}"
                yield (full if full in MODULES else str(child.module)), child.lineno


def own_imports(module: str) -> list[str]:
    heads = ("tracebench", "server_middleware")
    return [name for name, _ in imports(tree(module)) if name.split(".")[0] in heads]


def arrows() -> dict[str, list[str]]:
    """Room → the rooms that it imports from."""
    found: dict[str, set[str]] = {name: set() for name in FLOORS}
    for module in MODULES:
        found[room(module)].update(room(target) for target in own_imports(module))
    return {name: sorted(targets - {name}) for name, targets in found.items()}


def draw() -> str:
    """The house as text, the roof first; each room with the rooms below that it leans on."""
    lines = []
    for name, targets in arrows().items():
        below = ", ".join(target.removeprefix("tracebench.") for target in targets)
        lines.append(f"{FLOORS[name]:>2}  {name:<24}{f'→ {below}' if below else ''}".rstrip())
    return "\n".join(sorted(lines, key=lambda line: -int(line.split()[0])))


def arrows_inside(folder: str) -> dict[str, set[str]]:
    """Room of a folder, a file or a folder again → the rooms beside it that it imports from."""
    found: dict[str, set[str]] = {}
    for module in MODULES:
        if here := _room_inside(folder, module):
            there = (_room_inside(folder, target) for target in own_imports(module))
            found.setdefault(here, set()).update(one for one in there if one not in ("", here))
    return found


def _room_inside(folder: str, module: str) -> str:
    """Empty for the folder's own face, and for what is elsewhere."""
    path = module.removeprefix(f"{folder}.")
    return "" if path == module else path.split(".")[0]


def floors_inside(folder: str) -> list[set[str]]:
    """The rooms of a folder, the ground floor first: each leans on lower ones only.

    Raises:
        ValueError: some lean on each other.
    """
    left, floors = arrows_inside(folder), list[set[str]]()
    while left:
        floor = {name for name, targets in left.items() if not targets & left.keys()}
        if not floor:
            raise ValueError(f"{folder}: {sorted(left)} lean on each other")
        floors.append(floor)
        left = {name: targets for name, targets in left.items() if name not in floor}
    return floors


def draw_inside(folder: str) -> str:
    """The rooms of a folder as text, the roof first."""
    arrows, lines = arrows_inside(folder), [f"{folder}"]
    for number, floor in reversed(list(enumerate(floors_inside(folder), 1))):
        for name in sorted(floor):
            below = ", ".join(sorted(arrows[name]))
            lines.append(f"{number}  {name:<24}{f'→ {below}' if below else ''}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    print(draw(), *map(draw_inside, PARTED), sep="\n\n")
