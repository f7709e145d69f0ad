"""A service of BentoML with our middleware; it is run by the Python that has BentoML."""

import time

import bentoml

from server_middleware import component, instrument


@bentoml.service
class Sums:
    """Takes 3 ms."""

    @bentoml.api  # type: ignore[untyped-decorator] # it is not in our environment
    def predict(self, x: list[float]) -> float:
        with component("inference"):
            time.sleep(0.003)
        return sum(x)


instrument(Sums)
