"""How far from the truth the stamps of streamed replies are: `python -m benchmarks.streams`."""
