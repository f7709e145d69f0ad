"""Recording the parts of one request while it is served."""
