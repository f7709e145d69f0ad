"""Client root spans: made from exchanges, exported, and read back."""
