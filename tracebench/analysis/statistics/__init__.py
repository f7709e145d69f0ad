"""Statistics of a series of latencies, and how far they can be trusted."""
