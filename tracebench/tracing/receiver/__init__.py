"""The OTLP receiver: during a run, tracebench is the collector that servers export to.

It runs in its own process (`process`), where gRPC (`over_grpc`) and HTTP (`over_http`) feed one
`intake`, which checks requests and keeps them as bytes in a `store`. After the load, the store's
`digest` reads them into columns, each span once. `client` is the engine's side: it starts the
process, fetches the spans, and tracks what is missing by `completeness`.
"""
