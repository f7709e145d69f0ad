"""The load: what is sent, when, and the stamps of every step."""
