"""Client root spans: made of exchanges, exported, and read back."""
