"""Model providers: a folder of equals, each loaded when the first call needs it."""

import asyncio
from functools import cache

from django.utils.module_loading import import_string

from agents.providers.contract import Provider, ProviderError

# Adding one: copy a neighbour, add its line. The vendor's client is imported with its module,
# never at the start of a process.
PROVIDERS = {
    "openai": "agents.providers.openai.OpenAIProvider",
    "anthropic": "agents.providers.anthropic.AnthropicProvider",
    "embedded": "agents.providers.embedded.EmbeddedProvider",
}
# The server a provider means where a configuration names none.
HOME = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "embedded": None,
}


@cache
def provider_for(name: str) -> Provider:
    """The provider of that name; its module is imported at the first use, which takes a second.

    ProviderError `bad_request` for a name that is not in PROVIDERS.
    """
    if name not in PROVIDERS:
        known = ", ".join(PROVIDERS)
        raise ProviderError("bad_request", f"There is no provider {name!r}; known are {known}.")
    return import_string(PROVIDERS[name])()


async def load(name: str) -> Provider:
    """`provider_for` without holding up the event loop at the first use."""
    return await asyncio.to_thread(provider_for, name)
