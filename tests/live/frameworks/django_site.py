"""A site of Django, by WSGI and by ASGI; its settings are made when this is imported."""

from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from tests.live.frameworks import asgi, work, wsgi
from tests.middleware import timed_parts

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="none", MIDDLEWARE=[])
django.setup()


def predict(request: Any) -> Any:
    return HttpResponse(work.predict(request.body))


def readings(request: Any) -> Any:
    return JsonResponse(timed_parts.readings())


def fail(request: Any) -> Any:
    return HttpResponse(work.fail())


def stream(request: Any) -> Any:
    by_loop = hasattr(request, "scope")
    streams: dict[str, Any] = {**(asgi.STREAMS if by_loop else wsgi.STREAMS)}
    return StreamingHttpResponse(streams[request.path]())


urlpatterns = [
    path("predict", predict),
    path("readings", readings),
    path("fail", fail),
    *(path(one[1:], stream) for one in wsgi.STREAMS),
]


def wsgi_app() -> Any:
    return get_wsgi_application()


def asgi_app() -> Any:
    return get_asgi_application()
