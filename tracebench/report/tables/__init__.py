"""Tables for the terminal, one module per topic: components, differences, streams, sweeps."""
