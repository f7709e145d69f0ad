"""Does every request of an archive add up? `python -m ….inside.closure ARCHIVE.jsonl RESULT.json`.

Each root span is made an archive of its own and analysed by the product: its components are then
those of one request, and the leaves must add up to its end_to_end to 1 ns. Over all requests they
must add up to what the run itself said, so that this is the same decomposition. Prints JSON: how
many requests there are, and how many are off.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracebench.archive import analyze

NS_PER_MS = 1e6
Components = dict[str, int]


def lines_of_one(archive: Path) -> Iterator[str]:
    """Each span with what it belongs to, as a line of an archive."""
    for line in archive.read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    one = {**scope, "spans": [span]}
                    yield json.dumps({"resourceSpans": [{**resource, "scopeSpans": [one]}]})


def analysed(line: str, file: Path) -> tuple[Components, list[str]]:
    """One request's components in ns, and which are leaves; none where it was not decomposed."""
    file.write_text(line)
    (target,) = analyze([str(file)]).targets.values()
    if target.decomposed != 1:
        return {}, []
    return {
        name: round(found.mean_ms * NS_PER_MS) for name, found in target.components.items()
    }, list(target.share)


def is_off(components: Components, leaves: list[str]) -> bool:
    if not components:
        return True
    return abs(sum(components[name] for name in leaves) - components["end_to_end"]) > 1


def differs(sums: Counter[str], requests: int, run: dict[str, Any]) -> int:
    """How many components are not what the run itself said, by more than 1 ns a request."""
    return sum(
        abs(sums[name] - said["mean_ms"] * NS_PER_MS * said["count"]) > requests
        for name, said in run["components"].items()
    )


def main(archive: Path, result: Path) -> None:
    sums: Counter[str] = Counter()
    requests, off = 0, 0
    for line in lines_of_one(archive):
        components, leaves = analysed(line, archive.with_name("one.jsonl"))
        requests, off = requests + 1, off + is_off(components, leaves)
        sums.update(components)
    (run,) = json.loads(result.read_text())["targets"].values()
    print(json.dumps({"requests": requests, "off": off + differs(sums, requests, run)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
