"""Options that do not fit together are refused before anyone is asked."""

from typing import Any

import pytest

from tests.plans import plan_of
from tracebench.load.prepare.targets import check_plan
from tracebench.model.errors import UsageError
from tracebench.model.plan import Payload

JSON = Payload(b"{}", "application/json", "x.json", "json")
REST: dict[str, Any] = {"rest_url": "http://h"}
GRPC: dict[str, Any] = {"grpc_server": "h:1"}
METHOD: dict[str, Any] = {"grpc_method": "a.B/C"}


@pytest.mark.parametrize(
    ("payload", "options", "said"),
    [
        (JSON, {}, "no target"),
        ((), REST, "nothing to send"),
        ((), REST | {"oip": ""}, "--oip is empty"),
        (JSON, GRPC | METHOD | {"oip": "m"}, "--oip and --grpc-method exclude each other"),
        (JSON, REST | METHOD, "'a.B/C' needs a server: give --grpc-server"),
        (JSON, GRPC | {"grpc_method": "x"}, "'x' is not a valid gRPC method"),
        (JSON, GRPC | {"proto": "x.proto"}, "give --grpc-method too"),
        (JSON, GRPC | {"descriptor": "x.pb"}, "give --grpc-method too"),
        (JSON, GRPC | METHOD | {"proto": "x", "descriptor": "x"}, "exclude each other"),
        (JSON, GRPC | {"expect_status": ("200",)}, "'200' does not fit grpc"),
        (JSON, REST | {"expect_status": ("fine",)}, "'fine' is not a status"),
        (JSON, REST | {"expect_json": ("=",)}, "is not PATH[=VALUE]"),
    ],
)
def test_contradictions(payload: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_plan(plan_of(payload, **options))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("payload", "options"),
    [
        (JSON, REST | GRPC),
        ((), REST | {"oip": "m"}),
        (JSON, GRPC | METHOD | {"proto": "x.proto"}),
        (JSON, REST | GRPC | METHOD | {"expect_status": ("2xx",), "expect_json": ("a",)}),
    ],
)
def test_what_fits_together(payload: Any, options: dict[str, Any]) -> None:
    check_plan(plan_of(payload, **options))
