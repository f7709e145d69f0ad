"""The picture classifier: EfficientNet-Lite0 over REST and gRPC."""
