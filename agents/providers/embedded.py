"""The small model that comes with Spark-Ops: an OpenAI-wire server the supervisor starts lazily."""

import asyncio
from dataclasses import replace

from django.conf import settings

from agents.providers.contract import ModelAnswer, ModelRequest, ProviderError
from agents.providers.openai import OpenAIProvider

# The supervisor gives up after 90 s and then says so itself.
START_SECONDS = 100.0
# It rambles: an answer without a bound would go on to the end of its context.
DEFAULT_MAX_TOKENS = 512
_REQUEST = b"start model\n"


async def address() -> str:
    """The base URL of the running model; the supervisor starts it where it sleeps.

    ProviderError `unreachable` where there is no supervisor, or no model.
    """
    path = settings.SPARKOPS_CONTROL_SOCKET
    if not path:
        raise _unavailable(
            "The embedded model belongs to `make up`; this process has no supervisor. "
            "Choose a model server by its base URL."
        )
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await _ask(path)
    except TimeoutError:
        raise _unavailable("The embedded model did not start in time.", retryable=True) from None
    except OSError as exc:
        raise _unavailable(
            f"The supervisor does not answer ({exc.strerror or exc}), so there is no embedded "
            "model.",
            retryable=True,
        ) from exc
    word, _, rest = line.partition(" ")
    if word != "ready" or not rest:
        raise _unavailable(rest or "The supervisor gave no answer about the embedded model.")
    return rest


async def _ask(path: str) -> str:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(_REQUEST)
        await writer.drain()
        return (await reader.readline()).decode(errors="replace").strip()
    finally:
        writer.close()


def _unavailable(message: str, *, retryable: bool = False) -> ProviderError:
    return ProviderError("unreachable", message, retryable=retryable)


class EmbeddedProvider:
    """The OpenAI provider against the supervisor's model. It writes text and JSON by schema; its
    template ignores tools without a word, so they are refused here."""

    can_call_tools = False

    def __init__(self) -> None:
        self._wire = OpenAIProvider()

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        """The answer to a request. ProviderError where there is none, or where tools are asked."""
        if request.tools:
            raise ProviderError("bad_request", "The embedded model cannot call tools.")
        return await self._wire.complete(
            replace(
                request,
                base_url=await address(),
                api_key=None,
                allowed_hosts=None,
                max_tokens=request.max_tokens or DEFAULT_MAX_TOKENS,
            )
        )
