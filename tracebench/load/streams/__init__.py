"""Replies that stream: cut into events, each with the stamp of the read that completed it."""
