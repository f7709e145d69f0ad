"""Each request's latency divided into components that add up to it exactly."""
