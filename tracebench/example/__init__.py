"""The example model server: EfficientNet-Lite0 over REST and gRPC."""
