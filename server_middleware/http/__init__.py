"""Apps of WSGI and ASGI."""
