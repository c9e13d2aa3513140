"""What a definition calls exists, takes these arguments, and does not call back."""

import pytest

from workflows.graph import WorkflowInfo, check
from workflows.tests.definitions import Known, graph, step


def faults(*nodes, catalogue=None, slug="mine"):
    found = check(graph(*nodes), catalogue or Known(), slug)
    return [(fault.node, fault.field, fault.code) for fault in found]


@pytest.mark.parametrize("kind", ["tool", "agent", "workflow"])
def test_what_is_called_exists(kind):
    assert faults(step("a", kind, **{kind: "nobody"})) == [("a", kind, f"unknown_{kind}")]


def test_without_a_catalogue_nothing_is_looked_up():
    assert check(graph(step("a", "tool", tool="nobody"))) == []


def test_inside_a_body_too():
    inner = {"nodes": [step("k", "tool", tool="nobody")]}
    assert faults(step("m", "map", body=inner)) == [("k", "tool", "unknown_tool")]


def test_each_name_is_looked_up_once():
    catalogue = Known()
    faults(*(step(f"n{i}", "tool") for i in range(20)), catalogue=catalogue)
    assert catalogue.asked == ["noop"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"q": "Oslo"}, []),
        ({"q": "Oslo", "days": 3}, []),
        ({}, [("arguments.q", "required")]),
        (None, [("arguments.q", "required")]),
        ({"q": 5}, [("arguments.q", "type")]),
        ({"q": "O"}, [("arguments.q", "minLength")]),
        ({"q": "Oslo", "x": 1}, [("arguments.x", "unknown_field")]),
        ({"q": "${input.city}"}, []),
        ({"q": "${input.city}", "days": "${input.n}"}, []),
        ({"q": "${input.city}", "days": "three"}, [("arguments.days", "type")]),
        ({"q": "${input.city}", "x": "${input.x}"}, [("arguments.x", "unknown_field")]),
        ({"days": "${input.n}"}, [("arguments.q", "required")]),
        ({"q": "$${city}"}, []),
        ("${input.all}", []),
    ],
)
def test_constant_arguments_must_fit_and_dynamic_ones_may(arguments, expected):
    found = faults(step("a", "tool", tool="weather", arguments=arguments))
    assert found == [("a", *fault) for fault in expected]


DEEP = {
    "type": "object",
    "properties": {
        "list": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        "one": {"oneOf": [{"type": "integer"}, {"type": "boolean"}]},
        "map": {"type": "object", "required": ["k"], "additionalProperties": {"type": "integer"}},
    },
    "if": {"properties": {"one": {"const": 1}}},
    "then": {"required": ["list"]},
    "anyOf": [{"required": ["one"]}, {"required": ["map"]}],
}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"one": 2, "list": ["${input.a}", "x"]}, [("arguments.list.1", "type")]),
        ({"one": 2, "list": ["${input.a}"]}, [("arguments.list", "minItems")]),
        ({"one": 2, "list": "${input.l}"}, []),
        ({"one": "${input.one}"}, []),
        ({"one": "text"}, [("arguments.one", "oneOf")]),
        ({"one": 2, "map": {"j": "${input.j}"}}, [("arguments.map.k", "required")]),
        ({"map": {"k": "${input.j}", "l": "x"}}, [("arguments.map.l", "type")]),
        ({"one": 1}, [("arguments.list", "required")]),
        ({"list": [1, 2]}, [("arguments", "anyOf")]),
        ({"list": [1, "${input.b}"]}, []),
    ],
)
def test_a_fault_is_certain_or_not_told(arguments, expected):
    class Deep(Known):
        def tool(self, slug):
            return WorkflowInfo(slug, DEEP)

    found = faults(step("a", "tool", arguments=arguments), catalogue=Deep())
    assert found == [("a", *fault) for fault in expected]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"q": "Oslo"}, []), ({}, ["required"]), ("${input}", []), ({"q": "${input.q}"}, []),
        (None, ["type"]), ("text", ["type"]),
    ],
)  # fmt: skip
def test_the_input_of_another_workflow_must_fit(given, expected):
    found = faults(step("a", "workflow", input=given))
    assert [fault[2] for fault in found] == expected


def test_a_workflow_that_calls_itself_is_a_cycle():
    mine = WorkflowInfo("mine")
    [fault] = check(graph(step("a", "workflow", workflow="mine")), Known(mine=mine), "mine")
    assert (fault.node, fault.field, fault.code) == ("a", "workflow", "workflow_cycle")
    assert fault.message == "A cycle of workflows: mine → mine."


def test_a_cycle_through_others_is_shown():
    known = Known(
        x=WorkflowInfo("x", calls=frozenset({"y", "gone"})),
        y=WorkflowInfo("y", calls=frozenset({"mine"})),
    )
    [fault] = check(graph(step("a", "workflow", workflow="x")), known, "mine")
    assert fault.message == "A cycle of workflows: mine → x → y → mine."


def test_a_cycle_elsewhere_ends_and_is_too_deep():
    known = Known(
        x=WorkflowInfo("x", calls=frozenset({"y"})), y=WorkflowInfo("y", calls=frozenset({"x"}))
    )
    assert faults(step("a", "workflow", workflow="x"), catalogue=known) == [
        ("a", "workflow", "workflow_too_deep")
    ]


def test_workflows_call_each_other_ten_deep_at_most():
    def ladder(length):
        names = [f"w{i}" for i in range(length)]
        pairs = zip(names, [*names[1:], None], strict=True)
        return Known(
            **{name: WorkflowInfo(name, calls=frozenset({after} - {None})) for name, after in pairs}
        )

    first = step("a", "workflow", workflow="w0")
    assert faults(first, catalogue=ladder(9)) == []
    assert faults(first, catalogue=ladder(10)) == [("a", "workflow", "workflow_too_deep")]
