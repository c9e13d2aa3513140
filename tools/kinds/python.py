"""Tools that are functions of installed code."""

from collections.abc import Mapping
from typing import Any

from controlplane.kit import schemas
from controlplane.kit.errors import FieldProblem, InvalidInput
from tools.calls import Call, Fate, Pool, Result, ToolError
from tools.functions import registry
from tools.functions.registry import Function, ToolContext


class Python:
    """Calls a registered function by its name."""

    def clean(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """{function}: the name of a registered function."""
        faults = [
            FieldProblem(f"config.{key}", "unknown_field", "Unknown field.")
            for key in config
            if key != "function"
        ]
        name = config.get("function")
        if name is None:
            faults.append(FieldProblem("config.function", "required", "This is required."))
        elif not isinstance(name, str) or registry.get(name) is None:
            known = ", ".join(registry.names())
            message = f"There is no function of that name; there are {known}."
            faults.append(FieldProblem("config.function", "does_not_exist", message))
        if faults:
            raise InvalidInput(faults[0].message, errors=faults)
        return {"function": name}

    def ready(self, version: Any) -> Mapping[str, Any]:
        """The config says everything."""
        return version.config

    def pool(self, config: Mapping[str, Any]) -> Pool:
        """As the function declares."""
        found = registry.get(config["function"])
        return found.pool if found else "inline"

    def secret_names(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """None: functions take no secrets."""
        return ()

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
        except Exception as exc:
            raise self._failed(found, exc) from exc

    def call_blocking(self, call: Call) -> Result:
        """Run a function that blocks, or one that is over at once."""
        found, context = self._prepared(call)
        try:
            return Result(found.run(call.arguments, context))
        except ToolError:
            raise
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
        return found, ToolContext(call.context, call.timeout_seconds)

    @staticmethod
    def _failed(found: Function, exc: Exception) -> ToolError:
        fate: Fate = "answered" if found.effect_class == "read" else "unknown"
        return ToolError(
            f"{found.name} failed: {type(exc).__name__}: {exc}",
            code="function_failed",
            retryable=True,
            fate=fate,
        )
