"""Turn a plan into exchanges that the engine can repeat: built by libraries, each tried once."""
