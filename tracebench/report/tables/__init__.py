"""Tables of the terminal, each of one thing: components, differences, streams, sweeps."""
