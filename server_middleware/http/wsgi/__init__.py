"""WSGI: the middleware, and the request and response bodies that it watches."""
