"""Replies that stream: split into events, each with the stamp of the read that completed it."""
