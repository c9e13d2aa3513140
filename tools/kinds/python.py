"""Tools that are functions of installed code."""

from collections.abc import Mapping
from typing import Any

from controlplane.kit import schemas
from controlplane.kit.egress import EgressError
from controlplane.kit.errors import FieldProblem, InvalidInput
from tools.calls import Call, Fate, Pool, Result, ToolError
from tools.functions import registry
from tools.functions.registry import Function, ToolContext


class Python:
    """Calls a registered function by its name."""

    def clean(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """{function, options}: the name of a registered function, and what its owner set for it;
        without options the key is left out."""
        faults = [
            FieldProblem(f"config.{key}", "unknown_field", "Unknown field.")
            for key in config
            if key not in ("function", "options")
        ]
        name = config.get("function")
        found = registry.get(name) if isinstance(name, str) else None
        if name is None:
            faults.append(FieldProblem("config.function", "required", "This is required."))
        elif found is None:
            known = ", ".join(registry.names())
            message = f"There is no function of that name; there are {known}."
            faults.append(FieldProblem("config.function", "does_not_exist", message))
        options = config.get("options") or {}
        if found is not None:
            faults += _option_faults(found, options)
        if faults:
            raise InvalidInput(faults[0].message, errors=faults)
        return {"function": name, "options": options} if options else {"function": name}

    def ready(self, version: Any) -> Mapping[str, Any]:
        """The config says everything."""
        return version.config

    def pool(self, config: Mapping[str, Any]) -> Pool:
        """As the function declares."""
        found = registry.get(config["function"])
        return found.pool if found else "inline"

    def secret_names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The one that the options name, where the function takes one."""
        found = registry.get(config["function"])
        name = (config.get("options") or {}).get("secret") if found else None
        return (name,) if isinstance(name, str) else ()

    def secret_host(self, config: Mapping[str, Any]) -> tuple[str, int] | None:
        """None: functions ask for a secret by the host they are about to call."""
        return None

    def input_schema(
        self, config: Mapping[str, Any], schema: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The function's own where the tool's owner says no more than that it is an object."""
        found = registry.get(config["function"])
        return found.input_schema if found and schema == {"type": "object"} else schema

    def effect_class(self, config: Mapping[str, Any], declared: str) -> str:
        """`read` where the code says that it changes nothing, else as declared."""
        found = registry.get(config["function"])
        return "read" if found and found.effect_class == "read" else declared

    async def call(self, call: Call) -> Result:
        """Await an async function."""
        found, context = self._prepared(call)
        try:
            return Result(await found.run(call.arguments, context))
        except ToolError:
            raise
        except EgressError as exc:
            raise _not_reached(exc) from exc
        except Exception as exc:
            raise self._failed(found, exc) from exc

    def call_blocking(self, call: Call) -> Result:
        """Run a function that blocks, or one that is over at once."""
        found, context = self._prepared(call)
        try:
            return Result(found.run(call.arguments, context))
        except ToolError:
            raise
        except EgressError as exc:
            raise _not_reached(exc) from exc
        except Exception as exc:
            raise self._failed(found, exc) from exc

    def _prepared(self, call: Call) -> tuple[Function, ToolContext]:
        name = call.tool.config["function"]
        found = registry.get(name)
        if found is None:
            raise ToolError(f"The function {name} is not installed here.", code="function_missing")
        if faults := schemas.faults(found.input_schema, call.arguments, "arguments"):
            raise ToolError(
                f"The arguments do not fit the function {name}.",
                code="input_invalid",
                errors=faults,
            )
        options = call.tool.config.get("options") or {}
        return found, ToolContext(call.context, call.timeout_seconds, options)

    @staticmethod
    def _failed(found: Function, exc: Exception) -> ToolError:
        fate: Fate = "answered" if found.effect_class == "read" else "unknown"
        return ToolError(
            f"{found.name} failed: {type(exc).__name__}: {exc}",
            code="function_failed",
            retryable=True,
            fate=fate,
        )


def _option_faults(found: Function, options: Any) -> list[FieldProblem]:
    if not isinstance(options, dict):
        return [FieldProblem("config.options", "invalid", "options must be an object.")]
    if options and found.options_schema is None:
        message = f"The function {found.name} takes no options."
        return [FieldProblem("config.options", "unknown_field", message)]
    return schemas.faults(found.options_schema, options, "config.options")


def _not_reached(exc: EgressError) -> ToolError:
    fate: Fate = "unknown" if exc.sent else "not_sent"
    return ToolError(exc.message, code=exc.code, retryable=exc.retryable, fate=fate)
