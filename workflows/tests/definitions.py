"""Small definitions for the tests of the graph, and a catalogue that knows a few names."""

from itertools import pairwise

from workflows.graph import AgentInfo, ToolInfo, WorkflowInfo

CITY = {
    "type": "object",
    "properties": {"q": {"type": "string", "minLength": 2}, "days": {"type": "integer"}},
    "required": ["q"],
    "additionalProperties": False,
}


def step(node_id, kind="transform", **fields):
    """A step that is valid unless `fields` say otherwise."""
    own = {
        "tool": {"tool": "noop"},
        "agent": {"agent": "packer", "prompt": "Hello"},
        "transform": {"set": {}},
        "map": {"over": [1], "body": {"nodes": [{"id": "k", "kind": "transform", "set": {}}]}},
        "loop": {
            "body": {"nodes": [{"id": "k", "kind": "transform", "set": {}}]},
            "while": "index < 2",
            "max_iterations": 5,
        },
        "approval": {"title": "Fine?"},
        "form": {"title": "Say", "schema": {"type": "object"}},
        "wait": {"seconds": 1},
        "signal": {"name": "go"},
        "workflow": {"workflow": "other"},
        "fail": {"message": "No."},
    }
    return {"id": node_id, "kind": kind, **own.get(kind, {}), **fields}


def edge(source, target, when=None):
    """An edge, with a condition where one is given."""
    return {"from": source, "to": target} | ({"when": when} if when is not None else {})


def graph(*nodes, edges=(), **more):
    """A definition of these steps; a text `a>b>c` is a chain of edges."""
    if isinstance(edges, str):
        chains = [chain.split(">") for chain in edges.split()]
        edges = [edge(*pair) for chain in chains for pair in pairwise(chain)]
    return {"nodes": list(nodes), "edges": list(edges), **more}


def chain(*ids):
    """Transforms one after the other."""
    return graph(*(step(node) for node in ids), edges=">".join(ids))


class Known:
    """A catalogue of a few names; counts what it is asked."""

    def __init__(self, **workflows):
        self.workflows = {"other": WorkflowInfo("other", CITY), **workflows}
        self.asked = []

    def tool(self, slug):
        self.asked.append(slug)
        return {"noop": ToolInfo("noop"), "weather": ToolInfo("weather", CITY)}.get(slug)

    def agent(self, slug):
        return AgentInfo(slug) if slug == "packer" else None

    def workflow(self, slug):
        return self.workflows.get(slug)
