"""Adapters of servers that speak neither WSGI nor ASGI."""
