"""Prompts for language models: how long they are, what is in them, and what the server accepts."""
