"""The base of the REST API: scoped viewsets, serializers that say what is wrong, ETags."""

import hashlib
from typing import Any, ClassVar

from django.core.exceptions import FieldDoesNotExist
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet, RestrictedError
from django.http import Http404
from django.utils import timezone
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.kit import audit, exporting, links
from controlplane.kit.errors import InUse, InvalidInput, PreconditionFailed, from_django
from controlplane.kit.ids import parse_uuid
from controlplane.kit.permissions import permission_name, require
from controlplane.kit.strict import type_faults

STANDARD_VERBS = {
    "list": "view",
    "retrieve": "view",
    "create": "add",
    "update": "change",
    "partial_update": "change",
    "destroy": "delete",
    "restore": "delete",
}


class RelatedId(serializers.PrimaryKeyRelatedField):
    """A row named by id that the caller may see; else 422 `does_not_exist`."""

    def get_queryset(self) -> QuerySet:
        """Only what the caller may see."""
        return super().get_queryset().visible_to(self.context["request"].user)

    def to_internal_value(self, data: Any) -> Any:
        """The row; a malformed id is as absent as an invisible one."""
        identity = parse_uuid(data)
        if identity is None or isinstance(data, bool):
            self.fail("does_not_exist", pk_value=data)
        # A batch names the same rows again and again: `seen` in the context keeps them.
        seen = self.context.get("seen")
        if seen is None:
            return super().to_internal_value(data)
        if identity not in seen:
            seen[identity] = super().to_internal_value(data)
        return seen[identity]

    def to_representation(self, value: Any) -> str:
        """The id as text."""
        return str(value.pk)


class KitSerializer(serializers.ModelSerializer):
    """Unknown fields are refused, some cannot change, and the model's own rules run once."""

    immutable: ClassVar[tuple[str, ...]] = ("project", "slug", "kind")

    def to_internal_value(self, data: Any) -> Any:
        """Checked input; unknown fields and changes of immutable ones are 422."""
        if not isinstance(data, dict):
            raise InvalidInput("The body must be a JSON object.", code="not_an_object")
        faults: dict[str, list[Any]] = {}
        for name in data:
            if name not in self.fields:
                faults[name] = [serializers.ErrorDetail("Unknown field.", "unknown_field")]
        if faults:
            raise serializers.ValidationError(faults)
        if self.instance is not None:
            data = self._without_immutable(data)
        if faults := type_faults(self.fields, data):
            raise serializers.ValidationError(faults)
        attrs = super().to_internal_value(data)
        if self.instance is not None and not self.partial:
            self._put_defaults(attrs, data)
        return attrs

    def _put_defaults(self, attrs: dict[str, Any], data: dict[str, Any]) -> None:
        """PUT replaces: optional fields of the row that are left out take their default."""
        for name, field in self.fields.items():
            if field.source is None or field.read_only or name in data or field.source in attrs:
                continue
            try:
                model_field = self.Meta.model._meta.get_field(field.source)
            except FieldDoesNotExist:
                continue
            attrs[field.source] = model_field.get_default()

    def _without_immutable(self, data: dict[str, Any]) -> dict[str, Any]:
        kept = dict(data)
        for name in self.immutable:
            if name not in self.fields or self.fields[name].read_only:
                continue
            current = self.fields[name].to_representation(
                self.fields[name].get_attribute(self.instance)
            )
            if name in kept and str(kept[name]) != str(current):
                raise InvalidInput.of(name, f"{name} cannot change.", "immutable")
            kept[name] = current
        return kept

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Run the model's own validation on the row as it would be."""
        names = set()
        for name in attrs:
            try:
                field = self.Meta.model._meta.get_field(name)
            except FieldDoesNotExist:
                continue
            if field.concrete and not field.many_to_many:
                names.add(name)
        row = self.Meta.model(**{n: attrs[n] for n in names})
        if self.instance is not None:
            row.pk, row._state.adding = self.instance.pk, False
            for field in self.Meta.model._meta.concrete_fields:
                if field.name not in names:
                    setattr(row, field.attname, getattr(self.instance, field.attname))
        exclude = {
            f.name
            for f in row._meta.concrete_fields
            if f.name not in names and self.instance is None
        }
        try:
            row.full_clean(exclude=exclude)
        except DjangoValidationError as exc:
            raise from_django(exc) from None
        return attrs


def etag_of(row: Any) -> str:
    """A strong validator of one row, from its key and the time of its last change."""
    text = f"{row.pk}:{row.updated_at.isoformat()}"
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'


class ScopedViewSet(exporting.ExportedList, viewsets.ModelViewSet):
    """CRUD over the rows a user may see, with audit rows, ETag and If-Match, trash and restore.

    `verbs` maps further actions to permission verbs; `model` names the rows. Hooks for apps:
    perform_create, perform_update, perform_destroy, audit_fields, used_by.
    """

    model: ClassVar[Any]
    verbs: ClassVar[dict[str, str]] = {}
    ordering_fields: ClassVar[tuple[str, ...]] = ("created_at", "updated_at", "name")
    lookup_value_regex = "[^/.]+"
    audit_fields: ClassVar[tuple[str, ...]] = ("name",)

    @classmethod
    def get_extra_actions(cls) -> list[Any]:
        """`restore` only where there is a trash to bring rows back from."""
        has_trash = cls.model.soft_deletes and "post" in cls.http_method_names
        found = super().get_extra_actions()
        return [extra for extra in found if has_trash or extra.__name__ != "restore"]

    def verb_for(self, action_name: str | None) -> str:
        """The permission verb of an action."""
        return self.verbs.get(action_name or "") or STANDARD_VERBS.get(action_name or "", "view")

    def project_lookup(self) -> str:
        """The ORM lookup of the project's id."""
        path = self.model.project_path
        return "pk" if path == "pk" else f"{path}_id"

    def get_queryset(self) -> QuerySet:
        """The rows the caller may see."""
        if getattr(self, "swagger_fake_view", False):
            return self.model.objects.none()
        return self.model.objects.visible_to(self.request.user)

    def get_object(self) -> Any:
        """The row of the path: 404 where absent, invisible or no id; then the role is asked."""
        if parse_uuid(self.kwargs["pk"]) is None:
            raise Http404
        row = self.get_queryset().filter(pk=self.kwargs["pk"]).first()
        if row is None:
            raise Http404
        self.check_object_permissions(self.request, row)
        return row

    def check_match(self, row: Any) -> None:
        """412 where If-Match names another version."""
        wanted = self.request.headers.get("If-Match")
        if wanted and wanted != "*" and etag_of(row) not in [t.strip() for t in wanted.split(",")]:
            raise PreconditionFailed("Someone changed this in the meantime; reload and try again.")

    def answer(self, row: Any, code: int = status.HTTP_200_OK) -> Response:
        """One row with its ETag; 304 where the caller has it already."""
        tag = etag_of(row)
        if self.request.method == "GET" and tag in self.request.headers.get("If-None-Match", ""):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": tag})
        return Response(self.get_serializer(row).data, status=code, headers={"ETag": tag})

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One row."""
        return self.answer(self.get_object())

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A new row, if the role in its project allows it."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        self.require_create(serializer.validated_data)
        with transaction.atomic():
            row = self.guarded(lambda: self.perform_create(serializer))
            self.record("created", row, after=self.facts(row))
        return self.answer(row, status.HTTP_201_CREATED)

    def require_create(self, attrs: dict[str, Any]) -> None:
        """The role in the named project must allow adding."""
        require(self.request.user, permission_name("add", self.model), attrs["project"])

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Replace (PUT) or change (PATCH) a row."""
        row = self.get_object()
        with transaction.atomic():
            row = self.model.objects.select_for_update(of=("self",)).get(pk=row.pk)
            self.check_match(row)
            before = self.facts(row)
            serializer = self.get_serializer(
                row, data=request.data, partial=kwargs.get("partial", False)
            )
            serializer.is_valid(raise_exception=True)
            row = self.guarded(lambda: self.perform_update(serializer))
            self.record("changed", row, before=before, after=self.facts(row))
        return self.answer(row)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """To the trash, or for good with ?hard=true; 409 `in_use` names what hangs on it."""
        row = self.get_object()
        self.check_match(row)
        hard = request.query_params.get("hard") == "true" or not self.model.soft_deletes
        with transaction.atomic():
            self.remove(row, hard=hard)
        return Response(status=status.HTTP_204_NO_CONTENT)

    # Not named delete: DRF binds HTTP methods to attributes of those names.
    def remove(self, row: Any, *, hard: bool) -> None:
        """Delete with its audit row, for the API and for the page; InUse names what hangs on it."""
        # Locked, so that nothing begins to use it between the question and the end.
        self.model.objects.select_for_update(of=("self",)).filter(pk=row.pk).first()
        if used := self.used_by(row, hard=hard):
            raise InUse(f"Still in use by {', '.join(used)}.", extra={"used_by": used})
        self.record("deleted" if hard else "trashed", row, before=self.facts(row))
        if hard:
            self.delete_for_good(row)
        else:
            self.model.objects.filter(pk=row.pk).update(
                deleted_at=timezone.now(), updated_at=timezone.now()
            )

    def delete_for_good(self, row: Any) -> None:
        """Delete; what the database still protects is named."""
        links.release(row)
        try:
            row.delete()
        except (ProtectedError, RestrictedError) as exc:
            held = getattr(exc, "protected_objects", None) or exc.restricted_objects
            used = sorted({f"{o._meta.verbose_name} {o}" for o in list(held)[:20]})
            raise InUse(f"Still in use by {', '.join(used)}.", extra={"used_by": used}) from None

    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str = "") -> Response:
        """Back from the trash."""
        row = None
        if self.model.soft_deletes and parse_uuid(pk):
            row = self.model.objects.in_trash(request.user).filter(pk=pk).first()
        if row is None:
            raise Http404
        self.check_object_permissions(request, row)
        self.bring_back(row)
        return self.answer(row)

    def bring_back(self, row: Any) -> None:
        """Out of the trash with its audit row, for the API and for the page."""
        with transaction.atomic():
            row.deleted_at = None
            self.guarded(lambda: row.save(update_fields=["deleted_at", "updated_at"]))
            self.record("restored", row)

    def guarded(self, write: Any) -> Any:
        """Run a write; a broken constraint becomes a 422 with the constraint's own sentence."""
        try:
            with transaction.atomic():
                return write()
        except IntegrityError as exc:
            raise self.explain(exc) from None

    def explain(self, exc: IntegrityError) -> InvalidInput:
        """The sentence of the named constraint that was broken."""
        name = getattr(getattr(exc.__cause__, "diag", None), "constraint_name", "") or ""
        for constraint in self.model._meta.constraints:
            if constraint.name == name:
                field = (getattr(constraint, "fields", None) or ("",))[-1]
                return InvalidInput.of(field, constraint.get_violation_error_message(), "unique")
        return InvalidInput("This conflicts with something that exists already.", code="conflict")

    def perform_create(self, serializer: Any) -> Any:
        """Save the new row and return it."""
        return serializer.save()

    def perform_update(self, serializer: Any) -> Any:
        """Save the changed row and return it."""
        return serializer.save()

    def used_by(self, row: Any, *, hard: bool) -> list[str]:
        """What forbids deleting `row`, in words; empty where nothing does."""
        return links.users_of(row, hard=hard)

    def facts(self, row: Any) -> dict[str, Any]:
        """What the audit log keeps of a row."""
        return {name: getattr(row, name) for name in self.audit_fields}

    def record(self, verb: str, row: Any, **sides: Any) -> None:
        """One audit row, `<model>.<verb>`."""
        project_id = row.pk if row.project_path == "pk" else row.project_id
        audit.record(
            f"{row._meta.model_name}.{verb}",
            actor=self.request.user,
            project_id=project_id,
            target=row,
            **sides,
        )
