"""Pages of servers, as they write them, and one of ours that answers with them."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers import HOST, Script, answering, reply, serving

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:num_requests_waiting{engine="1",model_name="m"} 0.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="m"} 1234.0
"""
OLDER_VLLM = """\
vllm:num_requests_running{model_name="m"} 2.0
vllm:gpu_cache_usage_perc{model_name="m"} 0.5
"""
SGLANG = """\
sglang:num_running_reqs{model_name="m"} 8.0
sglang:num_queue_reqs{model_name="m"} 4.0
sglang:token_usage{model_name="m"} 0.52
"""
TRITON = """\
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="a",version="1"} 5
nv_inference_pending_request_count{model="b",version="1"} 2
"""
TENSORRT_LLM = """\
nv_inference_pending_request_count{model="tensorrt_llm",version="1"} 9
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="waiting",version="1"} 1
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"} 6
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="max",version="1"} 512
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="tensorrt_llm"} 0.1
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="tensorrt_llm"} 6239
"""
LLAMACPP = """\
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 4
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 46
"""
OTHER = "".join(f"other_{number} {number}\n" for number in range(9))


def told(text: str, status: str = "200 OK") -> bytes:
    return reply(text.encode(), status, "Content-Type: text/plain; version=0.0.4")


@contextmanager
def page(*texts: str) -> Iterator[str]:
    """A server that answers with these, one after the other and again; gives the URL."""
    with serving(answering(*map(told, texts))) as port:
        yield f"http://{HOST}:{port}/metrics"


@contextmanager
def by(script: Script) -> Iterator[str]:
    with serving(script) as port:
        yield f"http://{HOST}:{port}/metrics"
