"""Every block of Python in the guide runs."""

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "middleware.md"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_the_guide_runs(block: str) -> None:
    names: dict[str, Any] = {"model": lambda _input: "espresso", "decode": lambda file: file.read()}
    exec(compile(block, str(GUIDE), "exec", dont_inherit=True), names)


def test_before_and_after_answer_alike() -> None:
    answers = []
    for block in BLOCKS[:2]:
        names: dict[str, Any] = {"model": len, "decode": lambda file: file.read()}
        exec(compile(block, str(GUIDE), "exec", dont_inherit=True), names)
        reply = (
            names["app"]
            .test_client()
            .post(
                "/predict",
                data={"image": (BytesIO(b"pixels"), "x.png")},
                headers={"X-Benchmark": "1"},
            )
        )
        answers.append((reply.status_code, reply.json, "X-Timing-Info" in reply.headers))
    assert answers == [(200, 6, False), (200, 6, True)]
