"""The kinds of tools: a folder of equals. A new kind copies a neighbour and adds a line here."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from django.utils.module_loading import import_string

from tools.calls import Call, Pool, Result

KINDS = {
    "agent": "tools.kinds.agent.Agent",
    "http": "tools.kinds.http.Http",
    "mcp": "tools.kinds.mcp.Mcp",
    "python": "tools.kinds.python.Python",
}


class Kind(Protocol):
    """What every kind answers. `config` is always one that `clean` gave."""

    def clean(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The config with its defaults; InvalidInput with a fault for each wrong key."""

    def ready(self, version: Any) -> Mapping[str, Any]:
        """What a call of a stored version needs, read from the database before the call: its
        config, and where its kind keeps more elsewhere, that too."""

    def pool(self, config: Mapping[str, Any]) -> Pool:
        """Where a call runs: "io" awaits, "cpu" needs a thread, "inline" is over at once."""

    def secret_names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The secrets a call needs."""

    def secret_host(self, config: Mapping[str, Any]) -> tuple[str, int] | None:
        """(host, port) the secrets go to; None where the call itself looks at their hosts."""

    def input_schema(
        self, config: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """What arguments must fit: as given, or what the kind knows better."""

    def effect_class(self, config: Mapping[str, Any], declared: str) -> str:
        """The effect class that counts, given what the tool's owner declared."""

    async def call(self, call: Call) -> Result:
        """Do it, where `pool` is "io"."""

    def call_blocking(self, call: Call) -> Result:
        """Do it, where `pool` is "cpu" or "inline"."""


@cache
def kind(name: str) -> Kind:
    """The kind of that name. KeyError where there is none."""
    return import_string(KINDS[name])()
