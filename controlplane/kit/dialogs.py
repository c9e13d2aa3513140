"""The generic dialogs: create and edit, delete. Each is a page of its own without JavaScript."""

from typing import Any, ClassVar

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from controlplane.kit import audit, deletion
from controlplane.kit.errors import DomainError, InUse, InvalidInput
from controlplane.kit.fragments import announce_done, wants_fragment
from controlplane.kit.permissions import permission_name, require
from controlplane.kit.views import KitView


class FormDialog(KitView):
    """Create (no pk in the path) or edit, in the dialog or as a page of its own."""

    form_class: ClassVar[Any]
    title: ClassVar[str] = ""
    submit: ClassVar[str] = "Save"
    wide: ClassVar[bool] = False
    audit_fields: ClassVar[tuple[str, ...]] = ("name",)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Ask at the door before anything is shown or read."""
        self.row = None
        if "pk" in kwargs:
            self.row = self.get_row()
        elif self.project is None:
            raise Http404
        else:
            require(request.user, permission_name(self.verb, self.model), self.project)
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The form, filled with what is known."""
        return self.show(self.get_form(initial=self.get_initial()))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Save; or the form again, as typed, with what is wrong."""
        form = self.get_form(data=request.POST)
        if not form.is_valid():
            return self.show(form, 422)
        try:
            with transaction.atomic():
                row = self.save(form)
        except InvalidInput as error:
            self.explain(form, error)
            return self.show(form, 422)
        except DomainError as error:
            form.add_error(None, error.message)
            return self.show(form, 422)
        return self.done(row)

    def get_initial(self) -> dict[str, Any]:
        """Values of the query string that belong to the form, such as ?workflow=."""
        return {name: value for name, value in self.request.GET.items() if name != "next"}

    def get_form(self, **kwargs: Any) -> Any:
        """The form of this request."""
        if self.row is not None or hasattr(self.form_class, "_meta"):
            kwargs["instance"] = self.row
        return self.form_class(project=self.project, user=self.request.user, **kwargs)

    def explain(self, form: Any, error: InvalidInput) -> None:
        """Put each fault beside its field; what belongs to none stands on top."""
        for fault in error.errors or ():
            name = fault.field.split(".")[0]
            inner = fault.field[len(name) + 1 :]
            text = f"{inner}: {fault.message}" if inner else fault.message
            form.add_error(name if name in form.fields else None, text)
        if not error.errors:
            form.add_error(None, error.message)

    def save(self, form: Any) -> Any:
        """Save the row and its audit entry; override to call a service."""
        before = self.facts(self.row) if self.row else None
        row = form.save()
        audit.record(
            f"{row._meta.model_name}.{'changed' if self.row else 'created'}",
            actor=self.request.user,
            project_id=row.project_id,
            target=row,
            before=before,
            after=self.facts(row),
        )
        return row

    def facts(self, row: Any) -> dict[str, Any]:
        """What the audit log keeps."""
        return {name: getattr(row, name) for name in self.audit_fields}

    def done(self, row: Any) -> HttpResponse:
        """A new row is gone to; a changed one tells its page."""
        word = "saved" if self.row else "created"
        return announce_done(
            self.request,
            f"{self.noun.capitalize()} {row} {word}.",
            events={self.event: {"id": str(row.pk)}},
            go_to=None if self.row else row.get_absolute_url(),
            back_to=row.get_absolute_url(),
        )

    def show(self, form: Any, status: int = 200) -> HttpResponse:
        """The form as dialog or page."""
        name = "kit/_form_dialog.html" if wants_fragment(self.request) else "kit/form.html"
        context = {
            "form": form,
            "title": self.get_title(),
            "submit": self.submit,
            "wide": self.wide,
            "action": self.request.get_full_path(),
            "back": self.get_back(),
        }
        return render(self.request, name, context | self.extra_context(form), status=status)

    def extra_context(self, form: Any) -> dict[str, Any]:
        """More for the templates."""
        return {}

    def get_title(self) -> str:
        """The heading of the dialog."""
        return self.title or (f"Edit {self.row}" if self.row else f"New {self.noun}")

    def get_back(self) -> str:
        """Where Cancel leads without a dialog."""
        return self.row.get_absolute_url() if self.row else "../"


class DeleteDialog(KitView):
    """Asks, tells what hangs on the row, deletes it: to the trash, or for good once its name was
    typed."""

    verb = "delete"
    audit_fields: ClassVar[tuple[str, ...]] = ("name",)

    def get(self, request: HttpRequest, pk: str) -> HttpResponse:
        """The question."""
        return self.show(self.get_row())

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Delete, or the question again where the name is another or something uses the row."""
        row = self.get_row()
        hard = not row.soft_deletes or request.POST.get("hard") == "true"
        if hard and request.POST.get("confirm_name", "").strip() != str(row):
            return self.show(row, 422, name_error="This is not its name.")
        before = {name: getattr(row, name) for name in self.audit_fields}
        with transaction.atomic():
            used = self.used_by(row, hard=hard)
            if used:
                raise InUse(f"Still in use by {', '.join(used)}.", extra={"used_by": used})
            deletion.delete(row, actor=request.user, hard=hard, before=before)
        what = "deleted for good" if hard else "is in the trash"
        text = f"{self.noun.capitalize()} {row} {what}."
        return announce_done(
            request,
            text,
            events={self.event: {"id": str(pk)}},
            go_to=self.get_list_url(row),
        )

    def used_by(self, row: Any, *, hard: bool) -> list[str]:
        """What forbids deleting `row`, in words; empty where nothing does."""
        return []

    def get_hangers(self, row: Any) -> list[dict[str, Any]]:
        """What goes with it: [{label, count}]."""
        return []

    def get_list_url(self, row: Any) -> str:
        """Where to go when it is gone."""
        return f"/{row._meta.model_name}s/"

    def show(self, row: Any, status: int = 200, **more: Any) -> HttpResponse:
        """The question as dialog or page."""
        name = "kit/_delete_dialog.html" if wants_fragment(self.request) else "kit/delete.html"
        context = {
            "object": row,
            "title": f"Delete {row}?",
            "kind": self.noun,
            "name": str(row),
            "soft": row.soft_deletes,
            "hangers": self.get_hangers(row),
            "blocked": self.used_by(row, hard=False),
            "action": self.request.path,
            "back": row.get_absolute_url(),
            "hard": self.request.POST.get("hard") == "true",
            "typed": self.request.POST.get("confirm_name", ""),
        }
        return render(self.request, name, context | more, status=status)
