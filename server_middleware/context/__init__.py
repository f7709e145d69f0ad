"""Which requests a piece of code works for, and how that survives threads but not forks."""

from server_middleware.context.forks import forget_when_forked

forget_when_forked()
