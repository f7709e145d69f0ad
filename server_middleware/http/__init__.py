"""HTTP: apps of WSGI and ASGI, and the frameworks that are instrumented from inside."""
