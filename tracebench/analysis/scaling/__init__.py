"""How a target scales over a list of loads."""
