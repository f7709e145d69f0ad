"""A server that does nothing, as fast as we can: what is measured against it is the floor."""
