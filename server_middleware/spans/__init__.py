"""Spans of requests and components: by OpenTelemetry's API, or at less than its cost."""
