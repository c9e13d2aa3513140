"""The vendors' clients call through the guard and hand its refusals on as they are."""

import asyncio
import json

import anthropic
import openai
import pytest

from controlplane.kit import egress
from controlplane.kit.egress import EgressRefused
from controlplane.kit.egress.tests.conftest import answer

CHAT = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    ],
}


def ask_openai(url):
    async def ask():
        client = openai.AsyncOpenAI(
            api_key="k", base_url=url, max_retries=2, http_client=egress.async_client(timeout=5)
        )
        try:
            return await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Hello"}]
            )
        finally:
            await egress.aclose()

    return asyncio.run(ask())


def test_the_openai_client_works_through_the_guard(serve, loopback):
    server = serve(answer(json.dumps(CHAT).encode(), headers="content-type: application/json\r\n"))
    assert ask_openai(f"http://127.0.0.1:{server.port}/v1").choices[0].message.content == "Hi"


def test_the_openai_client_hands_a_refusal_on_at_once(serve):
    server = serve(answer())
    with pytest.raises(EgressRefused):
        ask_openai(f"http://127.0.0.1:{server.port}/v1")
    assert server.connections == 0


def test_the_anthropic_client_hands_a_refusal_on(serve):
    async def ask():
        client = anthropic.AsyncAnthropic(
            api_key="k",
            base_url="http://169.254.169.254",
            max_retries=0,
            http_client=egress.async_client(timeout=5),
        )
        await client.messages.create(
            model="m", max_tokens=5, messages=[{"role": "user", "content": "Hello"}]
        )

    with pytest.raises(Exception) as failed:
        asyncio.run(ask())
    assert isinstance(egress.find(failed.value), EgressRefused)
