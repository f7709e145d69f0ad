"""One network, and one pair of really running servers, for all tests of the language model."""

from collections.abc import Iterator

import pytest

from tracebench.example.language.decoder import Decoder
from tracebench.example.serve import Addresses, running

PLACES = 3


@pytest.fixture(scope="package")
def decoder() -> Decoder:
    return Decoder(PLACES)


@pytest.fixture(scope="package")
def servers() -> Iterator[Addresses]:
    with running(llm=True, instances=PLACES, prefix_cache=True) as addresses:
        yield addresses
