"""The OpenAPI document: how every operation of the API may answer besides its own answer."""

from typing import Any

PROBLEM = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence for people."},
        "code": {"type": "string", "description": "One word for programs."},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/ProblemField"}},
        "request_id": {"type": "string"},
    },
}
PROBLEM_FIELD = {
    "type": "object",
    "description": "One fault of one field.",
    "required": ["field", "code", "message"],
    "properties": {
        "field": {"type": "string", "description": "Dotted path; empty for the whole body."},
        "code": {"type": "string"},
        "message": {"type": "string"},
    },
}
REFUSALS = {
    "400": "No JSON, or NaN or Infinity in it.",
    "401": "Not signed in, or by a credential that no longer holds.",
    "403": "The role, or the scopes of the API key, do not allow this.",
    "404": "Absent, or invisible to the caller.",
    "406": "No answer in a format that was asked for.",
    "409": "The wrong state; `code` says which.",
    "412": "If-Match names another version.",
    "413": "The body is too large.",
    "415": "The body is no JSON.",
    "422": "A field or parameter is missing, wrong or unknown; `errors` says which.",
    "429": "Too many requests; see Retry-After.",
}
READS = ("get", "head", "options", "trace")
# operationId ends so where a row has an ETag.
_ETAG = {"If-None-Match": ("_retrieve",)}
_MATCH = {"If-Match": ("_update", "_partial_update", "_destroy")}
KEYED = ("runs_create", "runs_batch_create", "runs_retry_create", "workflows_test_create")


def finish(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular: refusals, headers, and paths as the contract writes them."""
    schemas = result["components"].setdefault("schemas", {})
    schemas |= {"Problem": PROBLEM, "ProblemField": PROBLEM_FIELD}
    body = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    result["components"]["responses"] = {
        f"Problem{status}": {"description": words, "content": body}
        for status, words in REFUSALS.items()
    }
    for name in schemas:
        schemas[name] = _simpler(schemas[name])
    paths = {path.rstrip("/") or "/": item for path, item in result["paths"].items()}
    for path, item in paths.items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "responses" in operation:
                _refusals(path, method, operation)
                _headers(operation)
    result["paths"] = paths
    return result


def _simpler(schema: Any) -> Any:
    """Any value may be null: drf-spectacular offers `any or null`, where null is both."""
    if isinstance(schema, list):
        return [_simpler(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _simpler(item) for name, item in schema.items()}
    return {k: v for k, v in kept.items() if k != "oneOf" or v != [{}, {"type": "null"}]}


def _refusals(path: str, method: str, operation: dict[str, Any]) -> None:
    found = {"401", "403", "406", "422", "429"}
    answers = operation["responses"]
    if "{" in path or "Paginated" in str(answers.get("200")):
        found.add("404")
    if method not in READS:
        found |= {"400", "404", "409", "413", "415"}
    if method in ("put", "patch", "delete"):
        found.add("412")
    for status in sorted(found):
        answers.setdefault(status, {"$ref": f"#/components/responses/Problem{status}"})


def _headers(operation: dict[str, Any]) -> None:
    name = operation.get("operationId", "")
    wanted = [
        header
        for header, ends in (_ETAG | _MATCH).items()
        if name.endswith(ends) and "404" in operation["responses"]
    ]
    if "If-None-Match" in wanted:
        operation["responses"]["304"] = {"description": "What the caller has is still so."}
    if name in KEYED:
        wanted.append("Idempotency-Key")
    for header in wanted:
        operation.setdefault("parameters", []).append(
            {"name": header, "in": "header", "required": False, "schema": {"type": "string"}}
        )
