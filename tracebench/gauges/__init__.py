"""The server's own gauges, read once a second while it is loaded.

A separate process reads a page in Prometheus's text format, so that neither waiting for it nor
parsing it delays the engine. `known` lists the gauges to look for and their names in each server;
`page` parses a page; `process` reads it once a second; `reader` is the engine's side.
"""
