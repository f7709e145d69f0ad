"""The components of a request as its client sees it; what a server knows of them is shared with it.

The words are design terms (see docs/design.md); scripts read them in the result file.
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
"""Of a stream's time to its first token: what its server does not account for, and what is left of
the server's own time beside its named parts."""

CLIENT_PARTS: Final = (BACKLOG, CONNECT, CLIENT, NETWORK, BODY, SERVER_PROCESSING)
"""What `end_to_end` is the sum of, for a decomposed request."""

LEAVES: Final = (BACKLOG, CONNECT, CLIENT, NETWORK, BODY, *SERVER_PARTS)
"""The components that are split no further, in the order of a request's life; they sum to it."""

COMPONENTS: Final = frozenset(
    {*LEAVES, END_TO_END, SERVICE_TIME, LATENCY, SERVER_PROCESSING, SERVER_AND_NETWORK}
)
"""Every name of a component that is tracebench's; any other is the author's own."""
