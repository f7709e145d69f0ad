"""Spans of requests and components: by OpenTelemetry's API, or at a lower cost."""
