"""Reading and writing OTLP."""
