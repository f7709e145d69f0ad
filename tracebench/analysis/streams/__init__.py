"""Statistics of streamed replies: tokens, gaps, turns of conversations."""
