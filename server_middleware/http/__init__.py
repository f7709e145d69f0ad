"""HTTP: WSGI and ASGI apps, and frameworks that are instrumented from inside."""
