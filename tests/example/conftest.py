"""One pair of really running servers for all tests of the example."""

from collections.abc import Iterator

import pytest

from tracebench.example.serve import Addresses, running


@pytest.fixture(scope="package")
def servers() -> Iterator[Addresses]:
    with running(threads=4) as addresses:
        yield addresses
