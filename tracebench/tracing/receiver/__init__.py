"""The OTLP receiver: while a run goes on, tracebench is the collector that servers export to.

It runs in a process of its own (`process`), where gRPC (`over_grpc`) and HTTP (`over_http`) lead
to one `intake`, which checks requests and keeps them as bytes. When the load is over, `digest`
reads them into columns, each span once. `client` is the engine's side: it starts the process,
fetches what came, and knows by `gathering` what is missing.
"""
