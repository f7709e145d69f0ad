"""The OTLP receiver: while a run goes on, tracebench is the collector that servers export to.

It runs in a process of its own (`process`), where gRPC (`over_grpc`) and HTTP (`over_http`) lead
to one `intake`, which checks requests and keeps them as bytes. `client` is the engine's side: it
starts the process, and fetches and reads what came when the load is over.
"""
