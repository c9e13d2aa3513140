"""Tools that are agents: one agent asks another, as it would call any tool."""

from collections.abc import Mapping
from typing import Any, Protocol

from django.utils.module_loading import import_string

from controlplane.kit.errors import FieldProblem, InvalidInput
from controlplane.kit.json import dumps
from tools.calls import Call, Pool, Result, ToolError

# What such a tool takes where its owner says nothing else.
PROMPT_SCHEMA = {
    "type": "object",
    "properties": {"prompt": {"type": "string", "minLength": 1}},
    "required": ["prompt"],
    "additionalProperties": False,
}


class Talk(Protocol):
    """An agent at work outside of a run. `turns` are the calls that it and those it asked made."""

    turns: list[dict[str, Any]]

    async def ask(self, slug: str, prompt: str) -> Result:
        """Its answer; ToolError says why there is none."""

    def totals(self) -> dict[str, Any]:
        """{input_tokens, output_tokens, cost, unpriced_calls}."""

    def keep(self) -> None:
        """Write down its model calls."""


class Directory(Protocol):
    """What the app of agents answers; it lies to the right of this one and registers itself."""

    def check(self, project: Any, slug: str, tool: Any) -> None:
        """InvalidInput where `tool` (None for a new one) may not call that agent: it does not
        exist, is none that can be asked, or would end up calling itself."""

    def choices(self, project: Any) -> list[tuple[str, str]]:
        """(slug, name) of the agents of a project that can be asked."""

    def talk(self, project_id: Any, slug: str, actor: Any) -> "Talk":
        """The agent ready to work for a person outside of a run; ToolError where it cannot."""


_registered: list[str] = []


def register(path: str) -> None:
    """Name the object that answers for agents, by its dotted path."""
    _registered[:] = [path]


def directory() -> Directory:
    """Who answers for agents."""
    return import_string(_registered[0])


class Agent:
    """Has an agent of the project work on a prompt; the output is the agent's."""

    def clean(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """{agent}: the slug of an agent; whether there is one is asked where the project is
        known."""
        faults = [
            FieldProblem(f"config.{key}", "unknown_field", "Unknown field.")
            for key in config
            if key != "agent"
        ]
        slug = config.get("agent")
        if slug in (None, ""):
            faults.append(FieldProblem("config.agent", "required", "This is required."))
        elif not isinstance(slug, str):
            faults.append(FieldProblem("config.agent", "invalid", "agent is the slug of an agent."))
        if faults:
            raise InvalidInput(faults[0].message, errors=faults)
        return {"agent": slug}

    def ready(self, version: Any) -> Mapping[str, Any]:
        """The config says everything."""
        return version.config

    def pool(self, config: Mapping[str, Any]) -> Pool:
        """Models take their time."""
        return "io"

    def secret_names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """None: the agent has its own."""
        return ()

    def secret_host(self, config: Mapping[str, Any]) -> tuple[str, int] | None:
        """None: there are no secrets."""
        return None

    def input_schema(
        self, config: Mapping[str, Any], schema: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """As given."""
        return schema

    def effect_class(self, config: Mapping[str, Any], declared: str) -> str:
        """`read`: what the agent's own tools do is declared by each of them."""
        return "read"

    def call_blocking(self, call: Call) -> Result:
        """Never asked for: the pool is io."""
        raise ToolError("Agents are awaited.", code="wrong_pool")

    async def call(self, call: Call) -> Result:
        """Have the agent answer; in a run as part of its step."""
        slug, prompt = call.tool.config["agent"], prompt_of(call.arguments)
        if call.context.call_agent is None:
            raise ToolError(f"Nobody accounts for the work of {slug} here.", code="agent_needs_run")
        return await call.context.call_agent(slug, prompt)


def prompt_of(arguments: Mapping[str, Any]) -> str:
    """The words an agent is given: the argument `prompt` alone, or all arguments as JSON."""
    if set(arguments) == {"prompt"} and isinstance(arguments["prompt"], str):
        return str(arguments["prompt"])
    return dumps(dict(arguments)).decode()
