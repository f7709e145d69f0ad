"""Which requests a piece of code works for, and what threads and forks forget of it."""

from server_middleware.context.forks import forget_when_forked

forget_when_forked()
