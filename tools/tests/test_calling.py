"""The core of a call: schema checks on both sides, built-in functions, simulation, refusals."""

import asyncio
import time

import pytest

from controlplane.kit.errors import InvalidInput
from tools.calling import call_tool
from tools.calls import CallContext, ToolError
from tools.functions import registry
from tools.functions.registry import function
from tools.kinds import kind
from tools.tests.conftest import make_callable


def python(name, **fields):
    return make_callable(config={"function": name}, **fields)


def failure(run, *args, **kwargs):
    with pytest.raises(ToolError) as failed:
        run(*args, **kwargs)
    return failed.value


@pytest.fixture
def registered():
    """Functions of a test, forgotten afterwards."""
    registry.names()
    before = dict(registry._found)
    yield function
    registry._found.clear()
    registry._found.update(before)


def test_the_built_in_functions_are_always_there():
    assert {"noop", "echo", "sleep", "fail"} <= set(registry.names())


def test_echo_gives_its_arguments_back(run):
    assert run(python("echo"), {"a": [1, None]}).output == {"a": [1, None]}


def test_noop_does_nothing_and_is_over_at_once(run):
    assert python("noop").pool == "inline"
    assert run(python("noop"), {"anything": 1}).output == {}


def test_fail_fails_with_its_message_and_may_be_retried(run):
    error = failure(run, python("fail"), {"message": "Out of paper"})
    assert (error.code, error.message, error.retryable) == ("failed", "Out of paper", True)
    assert not failure(run, python("fail"), {"retryable": False}).retryable


def test_sleep_waits_and_says_how_long(run):
    started = time.monotonic()
    assert run(python("sleep"), {"seconds": 0.1}).output == {"seconds": 0.1}
    assert time.monotonic() - started >= 0.1


def test_a_cancelled_sleep_ends_early(run):
    started = time.monotonic()
    error = failure(run, python("sleep"), {"seconds": 60}, is_cancelled=lambda: True)
    assert error.code == "cancelled"
    assert time.monotonic() - started < 30


def test_a_sleep_longer_than_the_timeout_is_cut(run):
    error = failure(run, python("sleep", timeout_seconds=0.1), {"seconds": 60})
    assert (error.code, error.fate) == ("timeout", "answered")
    assert error.message == "Probe did not finish within 0.1 s."


def test_a_sleeping_task_can_be_cancelled():
    async def cancel():
        task = asyncio.ensure_future(
            call_tool(python("sleep"), {"seconds": 60}, context=CallContext())
        )
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())


@pytest.mark.parametrize("given", [{}, {"seconds": "x"}, {"seconds": -1}, {"seconds": True}])
def test_a_function_checks_its_own_arguments(run, given):
    error = failure(run, python("sleep"), given)
    assert error.code == "input_invalid"
    assert error.errors[0].field == "arguments.seconds"


@pytest.mark.parametrize("given", [[], "x", 5])
def test_arguments_that_are_no_object_are_refused(run, given):
    assert failure(run, python("echo"), given).code == "input_invalid"


def test_arguments_that_fail_the_tools_schema_are_named(run):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    error = failure(run, python("echo", input_schema=schema), {"n": "one"})
    assert [e.as_dict()["field"] for e in error.errors] == ["arguments.n"]
    assert error.fate == "not_sent"


def test_an_output_that_fails_its_schema_is_an_error(run):
    schema = {"type": "object", "required": ["n"]}
    error = failure(run, python("echo", output_schema=schema), {"m": 1})
    assert (error.code, error.fate) == ("output_invalid", "answered")
    assert error.errors[0].field == "output.n"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "a\x00b", "\ud800"])
def test_an_output_that_cannot_be_stored_is_an_error(run, bad):
    error = failure(run, python("echo"), {"deep": [{"bad": bad}]})
    assert error.code == "output_not_storable"


def test_a_simulated_call_does_nothing_and_says_so(run):
    schema = {"type": "object", "properties": {"temp": {"type": "number", "minimum": 3}}}
    result = run(python("fail", output_schema=schema), simulate=True)
    assert result.simulated
    assert result.output == {"temp": 3, "simulated": True}


def test_a_simulated_call_still_checks_its_arguments(run):
    schema = {"type": "object", "required": ["n"]}
    error = failure(run, python("echo", input_schema=schema), {}, simulate=True)
    assert error.code == "input_invalid"


def test_a_tool_that_may_not_be_called_says_why(run):
    tool = python("echo", refusal_code="tool_inactive", refusal="Probe is inactive.")
    error = failure(run, tool)
    assert (error.code, error.message) == ("tool_inactive", "Probe is inactive.")


def test_a_plain_function_runs_in_a_thread_with_its_context(run, registered):
    lines = []

    @registered("greet", effect_class="read")
    def greet(arguments, context):
        context.log("greeting", name=arguments["name"])
        return f"Hello {arguments['name']}, {context.timeout_seconds:g} s"

    tool = python("greet")
    assert tool.pool == "cpu"
    result = run(tool, {"name": "Ana"}, log=lambda *line: lines.append(line))
    assert result.output == "Hello Ana, 5 s"
    assert lines == [("info", "greeting", {"name": "Ana"})]


def test_a_function_that_raises_fails_the_call(run, registered):
    @registered("broken")
    def broken(arguments, context):
        raise ZeroDivisionError("no")

    error = failure(run, python("broken"))
    assert (error.code, error.fate, error.retryable) == ("function_failed", "unknown", True)
    assert error.message == "broken failed: ZeroDivisionError: no"


def test_two_functions_of_one_name_are_a_mistake(registered):
    with pytest.raises(ValueError, match="two functions named echo"):
        registered("echo")(lambda arguments, context: None)


def test_code_that_only_reads_counts_as_read_whatever_is_declared(registered):
    registered("act", effect_class="unsafe")(lambda arguments, context: None)
    assert python("noop", effect_class="unsafe").effect_class == "read"
    assert python("act", effect_class="idempotent").effect_class == "idempotent"


@pytest.mark.parametrize(
    ("config", "field", "code"),
    [
        ({}, "config.function", "required"),
        ({"function": "nope"}, "config.function", "does_not_exist"),
        ({"function": 5}, "config.function", "does_not_exist"),
        ({"function": "echo", "x": 1}, "config.x", "unknown_field"),
    ],
)
def test_the_config_of_a_function_is_checked(config, field, code):
    with pytest.raises(InvalidInput) as refused:
        kind("python").clean(config)
    assert (refused.value.errors[0].field, refused.value.errors[0].code) == (field, code)


def test_a_function_that_was_uninstalled_is_named(run, registered):
    registered("gone")(lambda arguments, context: None)
    tool = python("gone")
    del registry._found["gone"]
    assert failure(run, tool).code == "function_missing"
