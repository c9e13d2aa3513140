"""The pages of bulk verbs: the preview, the doing, and how far a job came."""

import json
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import View

from controlplane.kit import bulk, bulk_jobs
from controlplane.kit.errors import DomainError
from controlplane.kit.fragments import announce_done, fragment_target, wants_fragment
from controlplane.kit.ids import parse_uuid, uuid7
from controlplane.kit.models import BulkJob
from controlplane.kit.permissions import permission_name, require


def bar(view: Any, page: dict[str, Any]) -> dict[str, Any] | None:
    """What components/_bulk_bar.html draws for a list; None where nothing is done in bulk."""
    if not view.bulk:
        return None
    declared = bulk.find(view.bulk)
    query = view.request.GET.copy()
    environment = view.request.place.environment
    if view.environment_path and environment and "environment" not in query:
        query["environment"] = environment.name
    for name in bulk.NOT_FILTERS:
        query.pop(name, None)
    return {
        "url": reverse("bulk:act", args=[view.bulk]),
        "acts": declared.offered(view.request.user, view.project),
        "query": query.urlencode(),
        "back": view.request.get_full_path(),
        "count": page["count"],
        "exact": page["exact"],
        "on_page": page["last"] - page["first"] + 1 if page["last"] else 0,
        "noun": view.noun,
        "plural": str(view.model._meta.verbose_name_plural),
        "export": view.request.path,
    }


def count_words(count: int, exact: bool) -> str:
    """`1,204`, or `10,000+` where counting stopped."""
    return f"{count:,}" if exact else f"{count:,}+"


class BulkPage(View):
    """A verb on what was chosen in a list: first what would happen, then, once it is confirmed, the
    doing of it."""

    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest, table: str) -> HttpResponse:
        """The preview, or with `confirmed` the deed."""
        project = request.place.project
        if table not in settings.BULK or project is None:
            raise Http404
        self.bulk = bulk.find(table)
        require(request.user, permission_name("view", self.bulk.model), project)
        self.act = self.bulk.act(request.POST.get("action", ""))
        require(request.user, permission_name(self.act.verb, self.bulk.model), project)
        self.selection = self.read_selection(project)
        if request.POST.get("confirmed") != "yes":
            return self.show(self.form())
        form = self.form(request.POST)
        if form is not None and not form.is_valid():
            return self.show(form, 422)
        once = request.POST.get("once", "")[:64]
        job, _ = bulk_jobs.start(
            table,
            self.act.name,
            self.selection,
            form.cleaned_data if form is not None else {},
            actor=request.user,
            project_id=project.pk,
            idempotency_key=f"page-{once}" if once else None,
        )
        return self.answer(job)

    def read_selection(self, project: Any) -> bulk.Selection:
        """The rows that were ticked, or the filter of the list they stood in."""
        given = self.request.POST
        if given.get("all") != "yes":
            return bulk.ids_of(given.getlist("id"))
        query = bulk.frozen(QueryDict(given.get("query", "")))
        return bulk.Selection(query=query, project_id=project.pk)

    def form(self, data: Any = None) -> Any:
        """The form of the verb's options; None where it has none."""
        return self.act.form_class(data) if self.act.form_class else None

    @property
    def plural(self) -> str:
        """What the rows are called."""
        return str(self.bulk.model._meta.verbose_name_plural)

    def back(self) -> str:
        """The list it was chosen in."""
        back = self.request.POST.get("back", "")
        own = url_has_allowed_host_and_scheme(back, allowed_hosts={self.request.get_host()})
        return back if own else "/"

    def show(self, form: Any, status: int = 200) -> HttpResponse:
        """What would happen, as dialog or page."""
        preview = self.bulk.preview(self.act, self.request.user, self.selection)
        name = "kit/_bulk_dialog.html" if wants_fragment(self.request) else "kit/bulk.html"
        noun = str(self.bulk.model._meta.verbose_name) if preview.total == 1 else self.plural
        many = count_words(preview.total, preview.exact)
        context = {
            "title": f"{self.act.label}: {many} {noun}",
            "submit": self.act.label,
            "form": form,
            "act": self.act,
            "preview": preview,
            "plural": self.plural,
            "in_background": not preview.exact or preview.total > bulk.AT_ONCE,
            "ids": self.selection.ids,
            "query": self.selection.query,
            "once": self.request.POST.get("once") or uuid7(),
            "back": self.back(),
            "action": self.request.path,
        }
        return render(self.request, name, context, status=status)

    def answer(self, job: BulkJob) -> HttpResponse:
        """A toast where all is done; else the report or the progress."""
        events: dict[str, Any] = {f"{self.bulk.model._meta.model_name}-changed": {}}
        events["bulk-done"] = {}
        noun = str(self.bulk.model._meta.verbose_name) if job.done == 1 else self.plural
        if job.has_ended and not job.refused and not job.error:
            text = f"{job.done} {noun} {self.act.done}."
            return announce_done(self.request, text, events=events, back_to=self.back())
        if not wants_fragment(self.request):
            return HttpResponseRedirect(
                f"{job.get_absolute_url()}?{urlencode({'back': self.back()})}"
            )
        response = render(self.request, "kit/_bulk_job_dialog.html", job_context(job))
        response.headers["HX-Trigger"] = json.dumps(events if job.has_ended else {"bulk-done": {}})
        return response


def job_context(job: BulkJob) -> dict[str, Any]:
    """What a job's report is drawn from."""
    declared = bulk.find(job.table)
    act = declared.act(job.action)
    meta = declared.model._meta
    reasons = sorted(job.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "job": job,
        "act": act,
        "title": f"{act.label}: {meta.verbose_name_plural}",
        "plural": str(meta.verbose_name_plural),
        "reasons": reasons,
        "not_reached": (job.total or 0) - job.looked_at,
        "event": f"{meta.model_name}-changed",
        "list_url": f"/{job.table}/",
    }


class JobPage(View):
    """How far a job came, and its report; the part that changes fetches itself."""

    def job(self) -> BulkJob:
        """One's own, else 404."""
        key = parse_uuid(self.kwargs["pk"])
        found = bulk_jobs.of_user(self.request.user).filter(pk=key).first()
        if found is None:
            raise Http404
        return found

    def get(self, request: HttpRequest, pk: str) -> HttpResponse:
        """The page, or its moving part."""
        job = self.job()
        context = job_context(job)
        if fragment_target(request) != "bulk-job":
            return render(request, "kit/bulk_job.html", context)
        response = render(request, "kit/_bulk_job.html", context)
        if job.has_ended:
            response.headers["HX-Trigger"] = context["event"]
        return response


class JobStop(JobPage):
    """Leaving the rest as it is."""

    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Ask it to stop after the row it is at."""
        job = self.job()
        try:
            bulk_jobs.stop(job, actor=request.user)
            text = "It stops after the row it is at."
        except DomainError as error:
            text = error.message
        return announce_done(request, text, back_to=job.get_absolute_url())
