"""The run's own metrics, exported over OTLP while it runs."""
