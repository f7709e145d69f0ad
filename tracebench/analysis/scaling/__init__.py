"""How a target scales over a range of loads."""
