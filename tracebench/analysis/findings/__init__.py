"""What can be said against a run: one file a topic, and the verdict made of them."""
