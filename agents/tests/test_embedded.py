"""The embedded model: the supervisor's word, and the real model where it is installed."""

import asyncio
import contextlib
import os
import signal
import socket
import sys

import pytest

from agents.providers import provider_for
from agents.providers.contract import ModelRequest, ProviderError, ToolDefinition
from agents.turns import structured, user
from controlplane.supervisor import model as supervised
from controlplane.supervisor.config import ROOT, VENV_MODEL_DIR
from tests.support.model_servers import OpenAIServer, Reply

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


@contextlib.asynccontextmanager
async def supervisor(settings, folder, answer):
    """A control socket that gives this answer to every request."""
    heard = []

    async def talk(reader, writer):
        heard.append(await reader.readline())
        writer.write(answer)
        await writer.drain()
        writer.close()

    settings.SPARKOPS_CONTROL_SOCKET = str(folder / "control.sock")
    server = await asyncio.start_unix_server(talk, settings.SPARKOPS_CONTROL_SOCKET)
    async with server:
        yield heard


def request(**more):
    return ModelRequest(model="smollm2-135m", messages=[user("Say hello.")], **more)


async def failure(**more):
    with pytest.raises(ProviderError) as caught:
        await provider_for("embedded").complete(request(**more))
    return caught.value


async def test_the_supervisor_is_asked_for_the_model_and_its_address_used(settings, tmp_path):
    with OpenAIServer(Reply(text="Hello.")) as server:
        settings.SPARKOPS_EGRESS_ALLOW = [server.address]
        ready = f"ready {server.base_url}\n".encode()
        async with supervisor(settings, tmp_path, ready) as heard:
            answer = await provider_for("embedded").complete(request())
    assert answer.text == "Hello."
    assert heard == [b"start model\n"]
    assert server.requests[0]["body"]["max_tokens"] == 512


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"error The model is not installed.\n", "The model is not installed."),
        (b"", "gave no answer"),
        (b"what\n", "gave no answer"),
        (b"ready\n", "gave no answer"),
    ],
)
async def test_what_the_supervisor_says_is_told(settings, tmp_path, answer, words):
    async with supervisor(settings, tmp_path, answer):
        error = await failure()
    assert error.code == "unreachable"
    assert words in error.message


async def test_a_supervisor_that_is_gone_is_told(settings, tmp_path):
    settings.SPARKOPS_CONTROL_SOCKET = str(tmp_path / "nobody.sock")
    error = await failure()
    assert "does not answer" in error.message


async def test_tools_are_refused_and_not_ignored():
    error = await failure(tools=(ToolDefinition("echo"),))
    assert (error.code, error.retryable) == ("bad_request", False)


if supervised.installed_file() is not None:
    # Not collected where the optional model is not installed: there is nothing it could prove.

    @pytest.fixture(scope="module")
    def real_model():
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        reader, writer = os.pipe()
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{VENV_MODEL_DIR}"}
        command = [
            sys.executable,
            "-m",
            "controlplane.demo.model",
            str(supervised.installed_file()),
            str(port),
            str(writer),
        ]
        os.set_inheritable(writer, True)
        pid = os.posix_spawn(sys.executable, command, environment)
        os.close(writer)
        assert os.read(reader, 100), "the model did not start"
        yield port
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)

    @pytest.fixture
    async def real(real_model, settings, tmp_path):
        settings.SPARKOPS_EGRESS_ALLOW = [f"127.0.0.1:{real_model}"]
        ready = f"ready http://127.0.0.1:{real_model}/v1\n".encode()
        async with supervisor(settings, tmp_path, ready):
            yield

    @pytest.mark.usefixtures("real")
    async def test_the_real_model_writes_streams_and_counts():
        deltas = []
        answer = await provider_for("embedded").complete(request(on_delta=deltas.append))
        assert answer.text.strip()
        assert "".join(deltas) == answer.text
        assert answer.usage.is_reported
        assert answer.usage.output_tokens > 0
        assert answer.first_token_ms < answer.latency_ms

    @pytest.mark.usefixtures("real")
    async def test_the_real_model_keeps_to_a_schema():
        asked = ModelRequest(
            model="smollm2-135m",
            messages=[user("Which city has the Eiffel tower?")],
            output_schema=SCHEMA,
        )
        answer = await provider_for("embedded").complete(asked)
        assert structured(answer.text, SCHEMA)[1] == []
