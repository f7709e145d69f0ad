"""What differs between two sides that were measured alike."""
