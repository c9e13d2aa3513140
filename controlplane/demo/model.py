"""`python -m controlplane.demo.model FILE PORT FD`: the embedded model, by the OpenAI format."""

import json
import os
import sys
import threading
import urllib.request

import xllamacpp

MODEL_NAME = "smollm2-135m"
HOST = "127.0.0.1"
# The first answer bound to a schema takes seconds longer than the later ones; it is asked for here.
WARM_UP = {
    "model": MODEL_NAME,
    "messages": [{"role": "user", "content": "Say hello."}],
    "max_tokens": 8,
    "response_format": {
        "type": "json_schema",
        "json_schema": {
            "name": "greeting",
            "schema": {"type": "object", "properties": {"text": {"type": "string"}}},
        },
    },
}


def serve(file: str, port: int) -> "xllamacpp.Server":
    """Load the model and serve it on loopback: two slots, each with half of the context."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = file
    parameters.model_alias = {MODEL_NAME}
    parameters.hostnames = [HOST]
    parameters.port = port
    parameters.n_ctx = 4096
    parameters.n_parallel = 2
    parameters.cpuparams.n_threads = max(1, min(4, os.cpu_count() or 1))
    parameters.ui = False
    parameters.verbosity = 1
    return xllamacpp.Server(parameters)


def warm_up(port: int) -> None:
    """Ask for one short answer, past any proxy the environment names."""
    request = urllib.request.Request(
        f"http://{HOST}:{port}/v1/chat/completions",
        data=json.dumps(WARM_UP).encode(),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(request, timeout=60).read()


def main() -> None:
    """Serve, warm up, write the port to the descriptor, and stay until SIGTERM."""
    file, port, ready = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    server = serve(file, port)
    warm_up(port)
    os.write(ready, f"{server.listening_address}\n".encode())
    os.close(ready)
    threading.Event().wait()


if __name__ == "__main__":
    main()
