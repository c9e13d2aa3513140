"""What a tool says of a call whose outcome nobody knows: whom to ask whether it happened, and what
undoes it. Both name another tool of the project."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.kit import links
from controlplane.kit.errors import FieldProblem, InvalidInput
from controlplane.kit.expressions import (
    Condition,
    Expression,
    ExpressionError,
    Template,
    compile_condition,
    compile_template,
)
from projects.models import Project
from tools.calls import ToolCallable
from tools.kinds import kind
from tools.models import EffectClass, Tool

CHECK_KEYS = ("tool", "arguments", "done", "not_done", "output")
UNDO_KEYS = ("tool", "arguments")
# What the arguments are made of; what the answer to a check is read with.
CALL_WORDS = frozenset(("arguments", "key"))
ANSWER_WORDS = CALL_WORDS | {"output", "error"}
WHOLE_ANSWER = "${output}"


def clean_check(value: Any) -> dict[str, Any] | None:
    """{tool, arguments, done, not_done, output} with every key present, or None. InvalidInput names
    each wrong part as `effect_check.<key>`."""
    if value is None:
        return None
    faults: list[FieldProblem] = []
    kept = _named(value, "effect_check", CHECK_KEYS, faults)
    if kept is None:
        raise InvalidInput.of("effect_check", "effect_check is an object or null.")
    kept["output"] = value.get("output", WHOLE_ANSWER)
    _take_template(kept["output"], "effect_check.output", ANSWER_WORDS, faults)
    for name in ("done", "not_done"):
        kept[name] = text = value.get(name)
        if text is None and name == "done":
            message = "Say by an expression when the call has happened."
            faults.append(FieldProblem("effect_check.done", "required", message))
        elif text is not None:
            _take_condition(text, f"effect_check.{name}", faults)
    if faults:
        raise InvalidInput(faults[0].message, errors=faults)
    return kept


def clean_undo(value: Any) -> dict[str, Any] | None:
    """{tool, arguments}, or None. InvalidInput names each wrong part as `effect_undo.<key>`."""
    if value is None:
        return None
    faults: list[FieldProblem] = []
    kept = _named(value, "effect_undo", UNDO_KEYS, faults)
    if kept is None:
        raise InvalidInput.of("effect_undo", "effect_undo is an object or null.")
    if faults:
        raise InvalidInput(faults[0].message, errors=faults)
    return kept


def _named(
    value: Any, field: str, keys: tuple[str, ...], faults: list[FieldProblem]
) -> dict[str, Any] | None:
    """The parts that both have; None where it is no object."""
    if not isinstance(value, Mapping):
        return None
    faults += [
        FieldProblem(f"{field}.{key}", "unknown_field", "Unknown field.")
        for key in value
        if key not in keys
    ]
    slug, arguments = value.get("tool"), value.get("arguments", {})
    if not isinstance(slug, str) or not slug:
        faults.append(FieldProblem(f"{field}.tool", "required", "Name a tool by its slug."))
    if not isinstance(arguments, Mapping):
        faults.append(FieldProblem(f"{field}.arguments", "invalid", "Arguments are an object."))
    else:
        _take_template(arguments, f"{field}.arguments", CALL_WORDS, faults)
    return {"tool": slug, "arguments": arguments}


def _take_template(
    value: Any, field: str, words: frozenset[str], faults: list[FieldProblem]
) -> None:
    try:
        template = compile_template(value)
    except ExpressionError as exc:
        faults.append(FieldProblem(field, "expression_invalid", exc.message))
        return
    for place, expression in template.expressions:
        _check_words(expression, f"{field}.{place}" if place else field, words, faults)


def _take_condition(text: Any, field: str, faults: list[FieldProblem]) -> None:
    try:
        condition = compile_condition(text)
    except ExpressionError as exc:
        faults.append(FieldProblem(field, "expression_invalid", exc.message))
        return
    _check_words(condition, field, ANSWER_WORDS, faults)


def _check_words(
    expression: Expression, field: str, words: frozenset[str], faults: list[FieldProblem]
) -> None:
    known = ", ".join(sorted(words))
    faults += [
        FieldProblem(field, "unknown_name", f"There is no '{name}' here; it knows {known}.")
        for name in sorted(expression.names - words)
    ]


def check_named(
    project: Project,
    slug: str,
    check: Mapping[str, Any] | None,
    undo: Mapping[str, Any] | None,
) -> None:
    """InvalidInput where the tools that a tool names for its recovery are not there, name the tool
    itself, or where a check does more than read."""
    for field, named in (("effect_check.tool", check), ("effect_undo.tool", undo)):
        if named is None:
            continue
        if named["tool"] == slug:
            raise InvalidInput.of(field, "A tool cannot answer for itself; name another.")
        tool = other(project.pk, named["tool"])
        if tool is None:
            message = f"This project has no tool {named['tool']:.80}."
            raise InvalidInput.of(field, message, "does_not_exist")
        if named is check and not only_reads(tool):
            message = f"{tool.slug} may change something; a check only reads (effect class read)."
            raise InvalidInput.of(field, message, "not_read")


def other(project_id: Any, slug: str) -> Tool | None:
    """A living tool of a project, with its current version."""
    rows = Tool.objects.alive().filter(project_id=project_id, slug=slug)
    return rows.select_related("current").first()


def only_reads(tool: Tool) -> bool:
    """Whether the effect class that counts is `read`."""
    known = kind(tool.kind).effect_class(tool.config, tool.effect_class)
    return known == EffectClass.READ


def users(tool: Tool) -> list[Tool]:
    """The living tools that name this one for their recovery."""
    rows = Tool.objects.alive().filter(project_id=tool.project_id).exclude(pk=tool.pk)
    named = rows.filter(effect_check__tool=tool.slug) | rows.filter(effect_undo__tool=tool.slug)
    return list(named.order_by("name")[:20])


def all_users(tool: Tool) -> list[dict[str, Any]]:
    """Everything that uses a tool: agents, workflows, and tools that name it for their recovery;
    {kind, id, name, url}."""
    named = [
        {"kind": "tool", "id": user.pk, "name": str(user), "url": user.get_absolute_url()}
        for user in users(tool)
    ]
    return links.users(tool) + named


@dataclass(frozen=True, slots=True)
class Reading:
    """What the answer to a check means: `done` with the call's output, `not_done`, or `unknown`
    and why; `may_change` where the same question may bring another answer soon."""

    verdict: str
    output: Any = None
    why: str = ""
    may_change: bool = False


def arguments_of(
    named: Mapping[str, Any], arguments: Mapping[str, Any], key: str
) -> dict[str, Any]:
    """The arguments with which a check or an undo of this call is called. ExpressionError where
    they cannot be made."""
    template: Template = compile_template(named["arguments"])
    made: dict[str, Any] = template.render({"arguments": arguments, "key": key})
    return made


def read(
    check: Mapping[str, Any],
    *,
    arguments: Mapping[str, Any],
    key: str,
    output: Any = None,
    error: Mapping[str, Any] | None = None,
) -> Reading:
    """What an answer (`output`) or the failure of a check ({code, message, status, retryable})
    says of a call. A failure says that nothing happened only where `not_done` says so."""
    context = {
        "arguments": arguments,
        "key": key,
        "output": output,
        "error": None if error is None else {k: error[k] for k in ("code", "message", "status")},
    }
    may_change = bool(error and error["retryable"])
    done, told = _holds(check["done"], context, error is None)
    not_done, told_not = _holds(check["not_done"], context, error is None)
    if check["not_done"] is None:
        not_done = done is False and error is None
    if done and not_done:
        return Reading("unknown", why="The check says both that it happened and that it did not.")
    if not_done:
        return Reading("not_done")
    if not done:
        why = str(error["message"]) if error else told or told_not or "The check cannot tell."
        return Reading("unknown", why=why, may_change=may_change or error is None)
    try:
        return Reading("done", compile_template(check["output"]).render(context))
    except ExpressionError as exc:
        return Reading("unknown", why=f"The output cannot be made of the answer: {exc.message}")


def _holds(text: str | None, context: Mapping[str, Any], answered: bool) -> tuple[bool | None, str]:
    """(whether it holds, why nobody knows)."""
    if text is None:
        return None, ""
    condition: Condition = compile_condition(text)
    if not answered and "error" not in condition.names:
        return None, ""
    try:
        return condition.evaluate(context), ""
    except ExpressionError as exc:
        return None, exc.message


def with_check(tool: ToolCallable) -> bool:
    """Whether calls of this tool in doubt are asked about."""
    return tool.effect_class == EffectClass.CHECKABLE and tool.effect_check is not None
