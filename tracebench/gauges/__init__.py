"""The server's own gauges, read once a second while it is loaded.

A page in Prometheus's text format is read by a process of its own, so that neither waiting for it
nor parsing it holds the engine up. `known` says which gauges are looked for, in which servers'
words; `page` reads them from a page; `process` does so on time; `reader` is the engine's side.
"""
