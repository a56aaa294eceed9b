"""A stand-in for ``vllm serve``: its command line and its HTTP, without a model. Not vLLM.

It refuses unknown options, asks for VLLM_API_KEY as vLLM does, and answers a prompt of
token ids by counting on from the last one. A prompt that holds 666 kills it. Its last line of
standard error says how it was started, for the test to read.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("serve", choices=["serve"])
parser.add_argument("model")
parser.add_argument("--host", required=True)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--served-model-name", required=True)
parser.add_argument("--dtype", choices=["auto", "float16", "bfloat16", "float32"], required=True)
parser.add_argument("--max-num-seqs", type=int, required=True)
parser.add_argument("--max-model-len", type=int, default=2048)
parser.add_argument("--tensor-parallel-size", type=int, required=True)
parser.add_argument("--pipeline-parallel-size", type=int, required=True)
parser.add_argument("--generation-config", choices=["vllm", "auto"], required=True)
parser.add_argument("--distributed-executor-backend", choices=["mp", "ray"])
parser.add_argument("--nnodes", type=int, default=1)
parser.add_argument("--node-rank", type=int, default=0)
parser.add_argument("--master-addr")
parser.add_argument("--master-port", type=int)
parser.add_argument("--headless", action="store_true")
parser.add_argument("--gpu-memory-utilization", type=float)

FIELDS = {
    "model", "prompt", "max_tokens", "n", "temperature", "top_k", "top_p", "min_p",
    "repetition_penalty", "presence_penalty", "frequency_penalty", "seed", "stop",
    "stop_token_ids", "ignore_eos", "add_special_tokens", "logprobs",
    "return_tokens_as_token_ids", "return_token_ids", "stream", "stream_options",
}  # fmt: skip
served = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/health":
            self.whole(200, "")
        elif self.path == "/metrics":
            self.whole(200, METRICS.format(served=served))
        elif self.path == "/v1/models" and self.allowed():
            model = {"id": options.served_model_name, "max_model_len": options.max_model_len}
            self.whole(200, json.dumps({"object": "list", "data": [model]}))

    def do_POST(self) -> None:
        global served
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return
        unknown = body.keys() - FIELDS
        if self.path != "/v1/completions" or unknown:
            self.whole(400, json.dumps({"error": {"message": f"unknown {unknown}"}}))
            return
        if len(body["prompt"]) + body["max_tokens"] > options.max_model_len:
            self.whole(400, json.dumps({"error": {"message": "too long for the model"}}))
            return
        served += 1
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        token, made = body["prompt"][-1], 0
        while made < body["max_tokens"]:
            if 666 in body["prompt"] and made == 2:
                os._exit(9)
            token, made = token + 1, made + 1
            stops = token in body["stop_token_ids"]
            finish = "stop" if stops else "length" if made == body["max_tokens"] else None
            for index in range(body["n"]):
                choice = {
                    "index": index, "text": "" if stops else f" {token}", "token_ids": [token],
                    "finish_reason": finish, "stop_reason": token if stops else None,
                    "logprobs": self.scores(token, body["logprobs"]),
                }  # fmt: skip
                self.event({"choices": [choice], "usage": {"completion_tokens": made}})
            if finish:
                break
            time.sleep(0.002)
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def scores(self, token: int, count: int | None) -> object:
        if count is None:
            return None
        names = [f"token_id:{token + i}" for i in range(max(count, 1))]
        tops = {name: -0.5 - i for i, name in enumerate(names)}
        return {"tokens": names[:1], "token_logprobs": [-0.5], "top_logprobs": [tops]}

    def allowed(self) -> bool:
        good = self.headers.get("Authorization") == f"Bearer {os.environ['VLLM_API_KEY']}"
        if not good:
            self.whole(401, json.dumps({"error": "Unauthorized"}))
        return good

    def event(self, value: object) -> None:
        self.chunk(f"data: {json.dumps(value)}\n\n".encode())

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def whole(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
vllm:num_requests_running{{engine="0",model_name="m"}} 0.0
vllm:num_requests_waiting{{engine="0",model_name="m"}} 0.0
vllm:prefix_cache_queries_total{{engine="0",model_name="m"}} {served}.0
vllm:prefix_cache_hits_total{{engine="0",model_name="m"}} 0.0
vllm:e2e_request_latency_seconds_bucket{{le="0.3",model_name="m"}} 1.0
"""

if __name__ == "__main__":
    options = parser.parse_args()
    seen = {
        name: value for name, value in os.environ.items() if name.startswith(("VLLM_", "HCCL_"))
    }
    seen.pop("VLLM_API_KEY", None)
    print(
        "stand-in " + json.dumps({"argv": sys.argv[1:], "env": seen}), file=sys.stderr, flush=True
    )
    if options.headless:
        sys.exit(0)
    server = ThreadingHTTPServer((options.host, options.port), Handler)
    signal.signal(
        signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start()
    )
    server.serve_forever()
