"""Join servers' spans to requests by trace id."""
