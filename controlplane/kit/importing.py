"""Rows from a file into a registry: a dry run that tells each row's fate, then all or nothing.

Each row goes through the API's own serializer and service, so rules, versions, permissions and
audit rows are those of every other door.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils.module_loading import import_string

from controlplane.kit import audit
from controlplane.kit.errors import InvalidInput, as_domain_error
from controlplane.kit.json import strict_loads
from controlplane.kit.permissions import permission_name, require
from controlplane.kit.sheets import FORMULA
from controlplane.kit.storable import problem

MOST_ROWS = 2_000
MOST_BYTES = 5 * 1024 * 1024
# Loaded at the first import: a process that never sees one need not hold it.
FORMATS = {
    "csv": "import_export.formats.base_formats.CSV",
    "xlsx": "import_export.formats.base_formats.XLSX",
    "json": "import_export.formats.base_formats.JSON",
}
# What files of our own hold besides, and what nobody sets.
READ_ONLY = frozenset(
    {"id", "project", "created_at", "updated_at", "version", "head_number", "head_state",
     "released_number", "url", "display", "version_state", "released_version"}
)  # fmt: skip
NEW, CHANGED, SAME, WRONG = "new", "changed", "unchanged", "wrong"


@dataclass
class Fate:
    """What becomes of one row of the file; `number` counts from 1 below the heading."""

    number: int
    slug: str
    name: str
    what: str
    faults: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What becomes of all rows."""

    fates: list[Fate]

    def count(self, what: str) -> int:
        """How many rows have this fate."""
        return sum(fate.what == what for fate in self.fates)

    @property
    def is_right(self) -> bool:
        """Whether no row has a fault, and any would change something."""
        return not self.count(WRONG) and self.count(NEW) + self.count(CHANGED) > 0


def read(content: bytes, kind: str) -> list[dict[str, Any]]:
    """The rows of a file; InvalidInput where it cannot be read."""
    if kind not in FORMATS:
        raise InvalidInput.of("file", "Give a file that ends in .csv, .xlsx or .json.")
    if len(content) > MOST_BYTES:
        raise InvalidInput.of("file", "The file is larger than 5 MB.")
    rows = _json_rows(content) if kind == "json" else _sheet_rows(content, kind)
    if not rows:
        raise InvalidInput.of("file", "The file holds no rows.")
    if len(rows) > MOST_ROWS:
        raise InvalidInput.of("file", f"The file holds more than {MOST_ROWS:,} rows.")
    if fault := problem(rows, 4 * MOST_BYTES):
        raise InvalidInput.of("file", f"The file holds what cannot be stored: {fault}")
    return rows


def _json_rows(content: bytes) -> list[dict[str, Any]]:
    found = strict_loads(content)
    if isinstance(found, dict) and isinstance(found.get("results"), list):
        found = found["results"]  # an answer of the API
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise InvalidInput.of("file", "A JSON file holds a list of objects.")
    return found


def _sheet_rows(content: bytes, kind: str) -> list[dict[str, Any]]:
    reader = import_string(FORMATS[kind])()
    try:
        text = content if reader.is_binary() else content.decode("utf-8-sig")
        dataset = reader.create_dataset(text)
        heads = [str(head or "").strip() for head in dataset.headers or ()]
        return [
            {head: value for head, value in zip(heads, row, strict=False) if head}
            for row in dataset
            if any(value not in (None, "") for value in row)
        ]
    except Exception as exc:  # whatever a parser makes of a broken file
        raise InvalidInput.of("file", f"The file cannot be read as {kind.upper()}.") from exc


def run(
    rows: Sequence[Mapping[str, Any]], viewset_class: Any, request: HttpRequest, *, dry: bool
) -> Report:
    """Put the rows into the current project by their slugs. Nothing is kept of a dry run, nor where
    one row is wrong."""
    project = request.place.project
    with transaction.atomic():
        fates = [
            _put(row, number, viewset_class, request, project)
            for number, row in enumerate(rows, start=1)
        ]
        report = Report(_doubles_named(fates))
        if dry or not report.is_right:
            transaction.set_rollback(True)
            return report
        audit.record(
            f"{viewset_class.model._meta.model_name}.imported",
            actor=request.user,
            project_id=project.pk,
            target=project,
            after={"new": report.count(NEW), "changed": report.count(CHANGED)},
        )
    return report


def _doubles_named(fates: list[Fate]) -> list[Fate]:
    seen: dict[str, int] = {}
    for fate in fates:
        first = seen.setdefault(fate.slug, fate.number)
        if fate.slug and first != fate.number:
            fate.what = WRONG
            fate.faults.append(f"slug: row {first} has the same one.")
    return fates


def _put(
    row: Mapping[str, Any], number: int, viewset_class: Any, request: HttpRequest, project: Any
) -> Fate:
    fate = Fate(number, str(row.get("slug") or ""), str(row.get("name") or ""), WRONG)
    try:
        with transaction.atomic():
            fate.what = _save(row, viewset_class, request, project)
            if fate.what == SAME:
                transaction.set_rollback(True)
    except Exception as exc:
        error = as_domain_error(exc)
        if error is None or error.status >= 500:
            raise
        faults = [f"{each.field}: {each.message}".strip(": ") for each in error.errors]
        fate.what, fate.faults = WRONG, faults or [error.message]
    return fate


def _save(row: Mapping[str, Any], viewset_class: Any, request: HttpRequest, project: Any) -> str:
    model = viewset_class.model
    door = viewset_class(request=request, kwargs={}, action="")
    serializer_class = door.serializer_class
    body = body_of(row, _known(serializer_class))
    known = model.objects.select_for_update(of=("self",)).alive().filter(project=project)
    old = known.filter(slug=body.get("slug", "")).first()
    require(request.user, permission_name("change" if old else "add", model), old or project)
    context = {"request": request, "view": door}
    before, shown = (
        (door.facts(old), serializer_class(old, context=context).data) if old else ({}, {})
    )
    body["project"] = str(project.pk)
    serializer = serializer_class(old, data=body, partial=old is not None, context=context)
    serializer.is_valid(raise_exception=True)
    write = door.perform_update if old else door.perform_create
    saved = door.guarded(lambda: write(serializer))
    if old is None:
        door.record("created", saved, after=door.facts(saved))
        return NEW
    if _same(shown, serializer_class(saved, context=context).data):
        return SAME
    door.record("changed", saved, before=before, after=door.facts(saved))
    return CHANGED


def _same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return all(before[name] == after[name] for name in before if name != "updated_at")


@cache
def _known(serializer_class: Any) -> dict[str, str]:
    """Field → how its cell is read: text, json, tags or number."""
    kinds = {"JSONField": "json", "ObjectField": "json", "AnyField": "json", "ListField": "tags"}
    kinds |= {"IntegerField": "number", "FloatField": "number", "BooleanField": "json"}
    return {
        name: next((kinds[c.__name__] for c in type(field).__mro__ if c.__name__ in kinds), "text")
        for name, field in serializer_class().fields.items()
        if not field.read_only
    }


def body_of(row: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """A row as the API would be sent it: empty cells are left out, text of sheets is read as what
    its field holds. InvalidInput for a column that nobody knows."""
    body: dict[str, Any] = {}
    for name, value in row.items():
        if name in READ_ONLY:
            continue
        if name not in known:
            raise InvalidInput.of(str(name)[:80], "There is no such field.", "unknown_field")
        if value is not None and value != "":
            body[name] = _cell(value, known[name], name)
    return body


def _cell(value: Any, kind: str, name: str) -> Any:
    if not isinstance(value, str):
        return value if kind != "text" or isinstance(value, bool | list | dict) else str(value)
    if value[:1] == "'" and value[1:].startswith(FORMULA):
        value = value[1:]  # as our own files keep it from being a formula
    if kind == "tags":
        return [word for text in value.split(",") if (word := text.strip())]
    if kind == "json":
        return _json_cell(value.lower() if value in ("True", "False") else value, name)
    if kind == "number":
        return _number_cell(value)
    return value


def _json_cell(value: str, name: str) -> Any:
    try:
        return strict_loads(value.encode("utf-8", "surrogatepass"))
    except Exception as exc:
        if as_domain_error(exc) is None:
            raise
        raise InvalidInput.of(name, "This is no JSON.") from None


def _number_cell(value: str) -> Any:
    try:
        number = float(value)
    except ValueError:
        return value
    return int(number) if number.is_integer() else number
