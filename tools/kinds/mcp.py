"""Tools of MCP servers."""

from collections.abc import Mapping
from typing import Any

from controlplane.kit.egress import Redactor
from controlplane.kit.errors import FieldProblem, InvalidInput
from controlplane.kit.ids import parse_uuid
from tools.calls import Call, Pool, Result, ToolError
from tools.http.config import host_of
from tools.kinds.http import host_problem
from tools.mcp import door
from tools.mcp.door import Changed

_KEYS = ("server", "name")


class Mcp:
    """Calls a tool of a server, if it is still the one that was approved."""

    def clean(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """{server, name}: the id of a tool server and the name of its tool."""
        faults = [
            FieldProblem(f"config.{key}", "unknown_field", "Unknown field.")
            for key in config
            if key not in _KEYS
        ]
        for key in _KEYS:
            if config.get(key) in (None, ""):
                faults.append(FieldProblem(f"config.{key}", "required", "This is required."))
            elif not isinstance(config[key], str):
                faults.append(FieldProblem(f"config.{key}", "invalid", f"{key} is text."))
        if not faults and parse_uuid(config["server"]) is None:
            message = "There is no tool server of that id."
            faults.append(FieldProblem("config.server", "does_not_exist", message))
        if faults:
            raise InvalidInput(faults[0].message, errors=faults)
        return {"server": str(parse_uuid(config["server"])), "name": config["name"]}

    def ready(self, version: Any) -> Mapping[str, Any]:
        """With where the server is now, and the fingerprint it is held to."""
        server = version.tool.server
        known = server is not None and server.deleted_at is None
        return {
            **version.config,
            "url": server.url if known else "",
            "auth": server.auth if known else None,
            "sha256": version.definition_sha256,
        }

    def pool(self, config: Mapping[str, Any]) -> Pool:
        """Calls wait on the network."""
        return "io"

    def secret_names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The secret of the server's `auth`, if there is one."""
        auth = config.get("auth") or {}
        return (auth["secret"],) if auth.get("secret") else ()

    def secret_host(self, config: Mapping[str, Any]) -> tuple[str, int] | None:
        """The host of the server."""
        return host_of(config["url"])

    def input_schema(
        self, config: Mapping[str, Any], schema: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """As given."""
        return schema

    def effect_class(self, config: Mapping[str, Any], declared: str) -> str:
        """As declared: a server's hints are not to be trusted."""
        return declared

    def call_blocking(self, call: Call) -> Result:
        """Never asked for: the pool is io."""
        raise ToolError("MCP tools are awaited.", code="wrong_pool")

    async def call(self, call: Call) -> Result:
        """One call in a conversation of its own. ToolError `tool_quarantined` where the server now
        says something else of the tool; the error then holds the new words."""
        config = call.tool.config
        if not config.get("url"):
            raise ToolError("The server of this tool was deleted.", code="tool_server_missing")
        entry = _door(call)
        redactor = Redactor(list(entry.hidden))
        sent = {
            "server": redactor.text(config["url"]),
            "tool": config["name"],
            "arguments": call.arguments,
        }

        def progress(done: float, total: float | None, message: str | None) -> None:
            of = f" of {total:g}" if total else ""
            text = redactor.text(f": {message}") if message else ""
            call.context.log("info", f"{config['name']}: {done:g}{of}{text}", None)

        try:
            answer = await door.call(
                entry,
                config["name"],
                call.arguments,
                pinned=config["sha256"],
                on_progress=progress,
            )
        except Changed as exc:
            raise _changed(call, exc.found) from None
        except ToolError as exc:
            exc.message, exc.request = redactor.text(exc.message), sent
            raise
        answer = redactor.value(answer)
        return _result(call, answer, sent)


def _door(call: Call) -> door.Door:
    config = call.tool.config
    auth = config.get("auth") or {}
    secret = None
    if name := auth.get("secret"):
        secret = call.context.secrets.get(name)
        if secret is None:
            raise ToolError(f"This project has no secret named {name}.", code="secret_not_found")
        if problem := host_problem(config, secret.name, secret.allowed_hosts):
            raise ToolError(problem, code="secret_host_refused")
    return door.door(
        config["url"], config.get("auth"), secret, timeout_seconds=call.timeout_seconds
    )


def _changed(call: Call, found: dict[str, Any] | None) -> ToolError:
    """The failure of a call whose tool is not what was approved."""
    if found is None:
        return ToolError(
            f"The server does not offer {call.tool.config['name']} any more.",
            code="tool_missing_on_server",
        )
    error = ToolError(
        f"The server changed the definition of {call.tool.name}; it is in quarantine until "
        "somebody approves the change.",
        code="tool_quarantined",
    )
    error.definition = found
    return error


def _result(call: Call, answer: Mapping[str, Any], sent: dict[str, Any]) -> Result:
    received = {key: value for key, value in answer.items() if key not in ("_meta", "resultType")}
    texts = [
        str(part.get("text", "")) for part in answer.get("content", ()) if part["type"] == "text"
    ]
    if answer.get("isError"):
        said = " ".join(text for text in texts if text) or "without words"
        raise ToolError(
            f"{call.tool.name} failed: {said[:2000]}",
            code="tool_error",
            fate="answered",
            request=sent,
            response=received,
        )
    if "structuredContent" in answer:
        return Result(answer["structuredContent"], sent, received)
    if len(texts) == len(answer.get("content", ())):
        return Result({"text": "\n".join(texts)}, sent, received)
    return Result({"content": answer.get("content", [])}, sent, received)
