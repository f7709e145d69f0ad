"""The components of a request as its client sees it; the server's parts come from its middleware.

The names are explained in docs/design.md; scripts read them in the result file.
"""

from typing import Final

from server_middleware.vocabulary import SERVER_PARTS, SERVER_PROCESSING

END_TO_END: Final = "end_to_end"
BACKLOG: Final = "backlog"
CONNECT: Final = "connect"
CLIENT: Final = "client"
NETWORK: Final = "network"
BODY: Final = "body"
SERVER_AND_NETWORK: Final = "server_and_network"
SERVICE_TIME: Final = "service_time"
LATENCY: Final = "latency"
"""`end_to_end` of every success and every time-out, whether or not it is decomposed."""

NETWORK_FIRST: Final = "network_first"
SERVER_BEFORE_FIRST: Final = "server_before_first"
"""Components of a stream's time to first token: the part that the server does not account for, and
the part of the server's own time outside its named parts."""

CLIENT_PARTS: Final = (BACKLOG, CONNECT, CLIENT, NETWORK, BODY, SERVER_PROCESSING)
"""The components that add up to `end_to_end` in a decomposed request."""

LEAVES: Final = (BACKLOG, CONNECT, CLIENT, NETWORK, BODY, *SERVER_PARTS)
"""The components that are not split further, in the order of a request's life; they add up to
`end_to_end`."""

COMPONENTS: Final = frozenset(
    {*LEAVES, END_TO_END, SERVICE_TIME, LATENCY, SERVER_PROCESSING, SERVER_AND_NETWORK}
)
"""The component names that tracebench defines; any other name was chosen by the server's author."""
