"""What a series of latencies tells of its distribution, and how far it can be trusted."""
