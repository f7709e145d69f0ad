"""Who sends what, when, over which connection; and the stamps of every step."""
