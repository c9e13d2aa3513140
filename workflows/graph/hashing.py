"""The hash of what a definition does, whatever the editor drew where."""

import hashlib
from typing import Any

import orjson


def definition_sha256(definition: Any) -> str:
    """SHA-256 in hex of the definition without the steps' `position`, keys in any order."""
    return hashlib.sha256(
        orjson.dumps(logic_of(definition), option=orjson.OPT_SORT_KEYS)
    ).hexdigest()


def logic_of(definition: Any) -> Any:
    """The definition without layout; bodies included, arguments left alone."""
    if not isinstance(definition, dict) or not isinstance(definition.get("nodes"), list):
        return definition
    return {**definition, "nodes": [_without_layout(node) for node in definition["nodes"]]}


def _without_layout(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    kept = {name: value for name, value in node.items() if name != "position"}
    if isinstance(kept.get("body"), dict):
        kept["body"] = logic_of(kept["body"])
    return kept
