"""What a client library costs: the same exchange, sent by it as people use it."""
