"""The generic dialogs: create and edit, delete. Each is a page of its own without JavaScript."""

from typing import Any, ClassVar

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from controlplane.kit import conflicts
from controlplane.kit.api import etag_of
from controlplane.kit.errors import DomainError, as_domain_error
from controlplane.kit.fragments import announce_done, wants_fragment
from controlplane.kit.permissions import permission_name, require
from controlplane.kit.views import KitView


class FormDialog(KitView):
    """Create (no pk in the path) or edit, in the dialog or as a page of its own.

    With `viewset_class` the row is saved by the API's own serializer, so both doors have one set of
    rules; the form gives the fields, their words, and with `body()` what the API would be sent.
    Without it, override `save`.
    """

    form_class: ClassVar[Any]
    viewset_class: ClassVar[Any] = None
    title: ClassVar[str] = ""
    submit: ClassVar[str] = "Save"
    wide: ClassVar[bool] = False

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
        form = self.get_form(data=conflicts.merged(request.POST))
        if not form.is_valid():
            return self.show(form, 422)
        try:
            with transaction.atomic():
                row = self.save(form)
        except conflicts.Overtaken:
            return self.show_both(form)
        except Exception as exc:
            error = as_domain_error(exc)
            if error is None or error.status >= 500:
                raise
            self.explain(form, error)
            return self.show(form, 422)
        return self.done(row)

    def get_initial(self) -> dict[str, Any]:
        """Values of the query string that belong to the form, such as ?workflow=."""
        return {name: value for name, value in self.request.GET.items() if name != "next"}

    def get_form(self, **kwargs: Any) -> Any:
        """The form of this request."""
        return self.form_class(row=self.row, project=self.project, user=self.request.user, **kwargs)

    def explain(self, form: Any, error: DomainError) -> None:
        """Put each fault beside its field; what belongs to none stands on top."""
        for fault in error.errors or ():
            name = fault.field.split(".")[0]
            inner = fault.field[len(name) + 1 :]
            text = f"{inner}: {fault.message}" if inner else fault.message
            form.add_error(name if name in form.fields else None, text)
        if not error.errors:
            form.add_error(None, error.message)

    def save(self, form: Any) -> Any:
        """Save through the API's viewset; override to call a service."""
        door = self.viewset_class(request=self.request, kwargs=self.kwargs, action="")
        if self.row is not None:
            self.row = self.model.objects.select_for_update(of=("self",)).get(pk=self.row.pk)
            wanted = self.request.POST.get(conflicts.VERSION)
            if wanted and wanted != etag_of(self.row):
                raise conflicts.Overtaken("Somebody else saved this meanwhile.")
        before = door.facts(self.row) if self.row else None
        serializer = door.serializer_class(
            self.row,
            data=form.body(),
            partial=self.row is not None,
            context={"request": self.request, "view": door},
        )
        serializer.is_valid(raise_exception=True)
        write = door.perform_update if self.row else door.perform_create
        row = door.guarded(lambda: write(serializer))
        sides = {"before": before} if self.row else {}
        door.record("changed" if self.row else "created", row, **sides, after=door.facts(row))
        return row

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
        if self.row is not None and self.viewset_class is not None:
            context["carried"] = self.carried(form)
        return render(self.request, name, context | self.extra_context(form), status=status)

    def carried(self, form: Any) -> dict[str, str]:
        """The version the form belongs to, with what stood in it; as sent, once it was sent."""
        given = self.request.POST
        if conflicts.VERSION in given:
            return {"version": given[conflicts.VERSION], "base": given.get(conflicts.BASE, "")}
        return conflicts.carried(form, etag_of(self.row))

    def show_both(self, form: Any) -> HttpResponse:
        """What was typed beside what somebody else saved; nothing is lost."""
        theirs = self.get_form()
        name = "kit/_conflict_dialog.html" if wants_fragment(self.request) else "kit/conflict.html"
        context = {
            "disputes": conflicts.disputes(form, theirs, conflicts.read_base(self.request.POST)),
            "kept": conflicts.kept(form),
            "carried": conflicts.carried(theirs, etag_of(self.row)),
            "row": self.row,
            "title": self.get_title(),
            "submit": self.submit,
            "action": self.request.get_full_path(),
            "back": self.get_back(),
        }
        return render(self.request, name, context, status=412)

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
    viewset_class: ClassVar[Any]
    # Whether nothing but the end for good is offered, as for what is in the trash already.
    only_for_good: ClassVar[bool] = False

    def get(self, request: HttpRequest, pk: str) -> HttpResponse:
        """The question."""
        return self.show(self.get_row())

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Delete, or the question again where the name is another or something uses the row."""
        row = self.get_row()
        hard = not self.is_soft(row) or request.POST.get("hard") == "true"
        if hard and request.POST.get("confirm_name", "").strip() != str(row):
            return self.show(row, 422, name_error="This is not its name.")
        with transaction.atomic():
            self.get_door().remove(row, hard=hard)
        what = "deleted for good" if hard else "is in the trash"
        text = f"{self.noun.capitalize()} {row} {what}."
        return announce_done(
            request,
            text,
            events={self.event: {"id": str(pk)}},
            go_to=self.get_list_url(row),
        )

    def is_soft(self, row: Any) -> bool:
        """Whether it may go to the trash."""
        return row.soft_deletes and not self.only_for_good

    def get_door(self) -> Any:
        """The API's viewset: both doors delete by one set of rules."""
        return self.viewset_class(request=self.request, kwargs=self.kwargs, action="destroy")

    def get_hangers(self, row: Any) -> list[dict[str, Any]]:
        """What goes with it: [{label, count}]."""
        return []

    def get_list_url(self, row: Any) -> str:
        """Where to go when it is gone."""
        return f"/{row._meta.model_name}s/"

    def get_back(self, row: Any) -> str:
        """Where "Keep it" leads without a dialog."""
        return str(row.get_absolute_url())

    def show(self, row: Any, status: int = 200, **more: Any) -> HttpResponse:
        """The question as dialog or page."""
        name = "kit/_delete_dialog.html" if wants_fragment(self.request) else "kit/delete.html"
        context = {
            "object": row,
            "title": f"Delete {row}?",
            "kind": self.noun,
            "name": str(row),
            "soft": self.is_soft(row),
            "hangers": self.get_hangers(row),
            "blocked": self.get_door().used_by(row, hard=self.only_for_good),
            "held": self.get_door().used_by(row, hard=True) if self.is_soft(row) else [],
            "action": self.request.path,
            "back": self.get_back(row),
            "hard": self.request.POST.get("hard") == "true",
            "typed": self.request.POST.get("confirm_name", ""),
        }
        return render(self.request, name, context | more, status=status)
