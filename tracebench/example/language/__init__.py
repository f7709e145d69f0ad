"""A small language model on the CPU, streaming over REST (OpenAI's interface) and gRPC.

Its weights are random, so its output is nonsense, but its costs are real: it is a transformer with
a KV cache, where longer prompts take longer and each step serves all running streams at once.
"""
