"""llama.cpp's own HTTP server, with a model of random weights made on the spot.

`python llamacpp_server.py PORT SLOTS FOLDER`, in the environment `llamacpp`.
"""

import signal
import sys
import time
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

WIDTH, LAYERS, HEADS, HIDDEN, CONTEXT = 256, 4, 4, 768, 1_024
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def vocabulary() -> tuple[list[str], list[int]]:
    """Control tokens, all bytes, and some syllables; with what each is."""
    kinds = gguf.TokenType
    control = {"<unk>": kinds.UNKNOWN, "<s>": kinds.CONTROL, "</s>": kinds.CONTROL}
    single = {f"<0x{byte:02X}>": kinds.BYTE for byte in range(256)}
    syllables = (
        a + b + c for a in "bcdfghklmnprstvw" for b in "aeiou" for c in ("", "n", "r", "s")
    )
    words = ["\u2581" + one for one in syllables] + ["\u2581"] + [chr(at) for at in range(33, 127)]
    every = control | single | dict.fromkeys(words, kinds.NORMAL)
    return list(every), [int(kind) for kind in every.values()]


def write_model(path: Path) -> None:
    """Write a Llama of random weights that never says a control token or a byte."""
    tokens, kinds = vocabulary()
    normal = len(tokens) - kinds.count(int(gguf.TokenType.NORMAL))
    file = gguf.GGUFWriter(str(path), "llama")
    describe(file, tokens, kinds)
    draw = np.random.default_rng(7)

    def weights(name: str, *shape: int) -> None:
        drawn = (draw.standard_normal(shape) * 0.3).astype(np.float32)
        if name == "output.weight":
            drawn[:normal] = 0
        file.add_tensor(name, drawn)

    def ones(name: str) -> None:
        file.add_tensor(name, np.ones(WIDTH, np.float32))

    weights("token_embd.weight", len(tokens), WIDTH)
    ones("output_norm.weight")
    weights("output.weight", len(tokens), WIDTH)
    for layer in (f"blk.{at}." for at in range(LAYERS)):
        ones(f"{layer}attn_norm.weight")
        ones(f"{layer}ffn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weights(f"{layer}{part}.weight", WIDTH, WIDTH)
        weights(f"{layer}ffn_gate.weight", HIDDEN, WIDTH)
        weights(f"{layer}ffn_up.weight", HIDDEN, WIDTH)
        weights(f"{layer}ffn_down.weight", WIDTH, HIDDEN)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def describe(file: "gguf.GGUFWriter", tokens: list[str], kinds: list[int]) -> None:
    """Write what the model is, and how its texts are cut."""
    file.add_context_length(CONTEXT)
    file.add_embedding_length(WIDTH)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(HIDDEN)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_dimension_count(WIDTH // HEADS)
    file.add_vocab_size(len(tokens))
    file.add_tokenizer_model("llama")
    file.add_token_list(tokens)
    file.add_token_scores([0.0] * len(tokens))
    file.add_token_types(kinds)
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_unk_token_id(0)
    file.add_chat_template(TEMPLATE)


def main() -> None:
    port, slots, model = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]) / "random.gguf"
    write_model(model)
    how = xllamacpp.CommonParams()
    how.model.path = str(model)
    how.hostnames = ["127.0.0.1"]
    how.port = port
    how.n_parallel = slots
    how.n_ctx = 512 * slots
    how.n_gpu_layers = 0
    how.warmup = False
    how.cpuparams.n_threads = how.cpuparams_batch.n_threads = 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server = xllamacpp.Server(how)
    while server:
        time.sleep(1)


if __name__ == "__main__":
    main()
