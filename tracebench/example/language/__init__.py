"""A small language model on the CPU, streaming over REST (OpenAI's interface) and gRPC.

Its weights are drawn at random, so what it says is nonsense; what it costs is real: a transformer
with a KV cache, whose prompts take longer the longer they are, and whose steps serve all running
streams at once.
"""
