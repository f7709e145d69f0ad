"""What a span says of a request line."""

import pytest

from server_middleware.http.conventions import request_attributes


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("top=5&sig=a", "top=5&sig=REDACTED"),
        ("api_key=a&model=m", "api_key=REDACTED&model=m"),
        (
            "AWSAccessKeyId=a&access_token=b&x=1",
            "AWSAccessKeyId=REDACTED&access_token=REDACTED&x=1",
        ),
        ("design=a&passage=b&encoding=c", "design=a&passage=b&encoding=c"),
    ],
)
def test_credentials_in_a_query(query: str, told: str) -> None:
    attributes = request_attributes(
        "GET", "http", "/p", query, "1.1", server=("h", 80), client=None, agent=None
    )
    assert attributes["url.query"] == told
