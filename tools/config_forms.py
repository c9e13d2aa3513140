"""The definition of a tool as fields, a form for each kind; what it gives is the config as the API
takes it."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms

from controlplane.kit.forms import JsonEditor, JsonField, TagsField
from projects.models import Secret
from tools.functions import registry
from tools.http.config import AUTH_KEYS, BODY_TYPES, METHODS
from tools.kinds.agent import directory
from tools.models import Kind, ToolServer

PREFIX = "config"
_NOTHING = [("", "—")]


def _small_json(kind: type | None, **kwargs: Any) -> JsonField:
    return JsonField(kind=kind, required=False, widget=JsonEditor({"rows": 3}), **kwargs)


class ConfigForm(forms.Form):
    """The config of one kind. `start` is the config it begins with, `project` that of the tool."""

    def __init__(self, *, project: Any, start: Mapping[str, Any], data: Any = None) -> None:
        super().__init__(data, initial=self.shown(start), prefix=PREFIX)
        self.offer(project, start)

    def shown(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A config as the fields show it."""
        return dict(config)

    def offer(self, project: Any, start: Mapping[str, Any]) -> None:
        """What there is to choose from."""

    def config(self) -> dict[str, Any]:
        """The cleaned fields as a config."""
        return dict(self.cleaned_data)

    def place(self, path: str) -> str:
        """The field that a fault of the config belongs to; empty where there is none."""
        name = path.split(".")[0]
        return name if name in self.fields else ""


class HttpForm(ConfigForm):
    """One request."""

    method = forms.ChoiceField(choices=[(m, m) for m in METHODS], initial="GET")
    url = forms.CharField(
        label="URL", max_length=4000, help_text="{x} takes the argument x, here and below."
    )
    query = _small_json(dict, label="Query")
    headers = _small_json(dict, label="Headers")
    body_type = forms.ChoiceField(label="Body as", choices=[(t, t) for t in BODY_TYPES])
    body = forms.CharField(
        required=False,
        strip=False,
        widget=JsonEditor({"rows": 4}),
        help_text="Empty: arguments that are used nowhere make the body.",
    )
    auth = forms.ChoiceField(label="Credentials", choices=[(k, k) for k in AUTH_KEYS])
    auth_secret = forms.ChoiceField(label="Secret", required=False)
    auth_name = forms.CharField(
        label="Header or parameter",
        required=False,
        max_length=200,
        help_text="For header and query.",
    )
    auth_username = forms.CharField(
        label="User", required=False, max_length=200, help_text="For basic."
    )
    auth_prefix = forms.CharField(
        label="Before the secret",
        required=False,
        strip=False,
        max_length=200,
        help_text="For header, such as “Token ”.",
    )
    allowed_hosts = TagsField(
        label="Allowed hosts", required=False, help_text="Between commas; empty: that of the URL."
    )
    idempotency_header = forms.CharField(
        label="Header of the idempotency key", required=False, max_length=200
    )

    def shown(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The parts of auth are fields of their own; a body that is JSON is written as JSON."""
        auth = config.get("auth") or {}
        body = config.get("body")
        is_text = config.get("body_type") == "raw" and isinstance(body, str)
        text = body if is_text or body is None else json.dumps(body, indent=2, ensure_ascii=False)
        return {
            **config,
            "body": text,
            "auth": auth.get("type") or "none",
            **{f"auth_{key}": value for key, value in auth.items() if key != "type"},
        }

    def offer(self, project: Any, start: Mapping[str, Any]) -> None:
        """The secrets of the project."""
        names = Secret.objects.filter(project=project).order_by("name")
        known = list(names.values_list("name", flat=True))
        self.fields["auth_secret"].choices = _NOTHING + [(name, name) for name in known]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """A body that is not raw is JSON."""
        given = super().clean() or {}
        text = given.get("body")
        if not (text or "").strip():
            given["body"] = None
        elif given.get("body_type") != "raw":
            field = JsonField(kind=None)
            try:
                given["body"] = field.clean(text)
            except forms.ValidationError as error:
                self.add_error("body", error)
        return given

    def config(self) -> dict[str, Any]:
        """With auth as one object, of which only the keys of its type are kept."""
        given = dict(self.cleaned_data)
        parts = {key: given.pop(f"auth_{key}") for key in ("secret", "name", "username", "prefix")}
        kind = given.pop("auth")
        needed, optional = AUTH_KEYS[kind]
        auth = {key: parts[key] for key in (*needed, *optional) if parts[key]}
        given["auth"] = None if kind == "none" else {"type": kind, **auth}
        given["idempotency_header"] = given["idempotency_header"] or None
        for name in ("query", "headers"):
            given[name] = given[name] or {}
        return given

    def place(self, path: str) -> str:
        """Faults of auth stand beside the part they are about."""
        first, _, rest = path.partition(".")
        if first == "auth" and f"auth_{rest}" in self.fields:
            return f"auth_{rest}"
        return super().place(path)


class PythonForm(ConfigForm):
    """A function of installed code."""

    function = forms.ChoiceField()
    options = _small_json(dict, label="Options", help_text="As the function describes them.")

    def offer(self, project: Any, start: Mapping[str, Any]) -> None:
        """The functions there are, and what the chosen one takes."""
        self.fields["function"].choices = [(name, name) for name in registry.names()]  # type: ignore[attr-defined]
        found = registry.get(str(self.data.get(f"{PREFIX}-function") or start.get("function")))
        if found is not None:
            self.fields["function"].help_text = found.description
            named = (found.options_schema or {}).get("properties", {})
            words = ", ".join(named) or "It takes none."
            self.fields["options"].help_text = f"Set once for all calls: {words}"

    def config(self) -> dict[str, Any]:
        """Without options where there are none."""
        found = {"function": self.cleaned_data["function"]}
        options = self.cleaned_data["options"]
        return {**found, "options": options} if options else found


class McpForm(ConfigForm):
    """A tool of a server."""

    tool = forms.ChoiceField(
        label="Tool of a server",
        help_text="What the servers offered when they were last asked.",
    )

    def shown(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Both parts as one choice."""
        return {"tool": f"{config.get('server', '')}/{config.get('name', '')}"}

    def offer(self, project: Any, start: Mapping[str, Any]) -> None:
        """What the servers of the project offer."""
        servers = ToolServer.objects.alive().filter(project=project).order_by("name")
        self.fields["tool"].choices = [  # type: ignore[attr-defined]
            (str(server), [(f"{server.pk}/{t['name']}", t["name"]) for t in server.discovered])
            for server in servers
        ]

    def config(self) -> dict[str, Any]:
        """The two parts."""
        server, _, name = self.cleaned_data["tool"].partition("/")
        return {"server": server, "name": name}

    def place(self, path: str) -> str:
        """There is one field."""
        return "tool"


class AgentForm(ConfigForm):
    """An agent that is asked."""

    agent = forms.ChoiceField(help_text="It works on the argument prompt.")

    def offer(self, project: Any, start: Mapping[str, Any]) -> None:
        """The agents of the project that can be asked."""
        self.fields["agent"].choices = directory().choices(project)  # type: ignore[attr-defined]


FORMS: Mapping[str, type[ConfigForm]] = {
    Kind.HTTP: HttpForm,
    Kind.PYTHON: PythonForm,
    Kind.MCP: McpForm,
    Kind.AGENT: AgentForm,
}
START: Mapping[str, Any] = {Kind.HTTP: {"url": "https://"}, Kind.PYTHON: {"function": "echo"}}


class HasConfig(forms.Form):
    """A form whose JSON field `config` is shown as the fields of a kind, `parts`; None where it is
    to be typed as JSON."""

    parts: ConfigForm | None = None

    def take_parts(self, kind: str, project: Any, start: Mapping[str, Any] | None) -> None:
        """Show the config as fields; where they were sent, put what they give into the data."""
        made = FORMS[kind]
        begin = start if start is not None else START.get(kind, {})
        if not self.is_bound:
            if self.initial.get("as") != "json":
                self.parts = made(project=project, start=begin)
            return
        if PREFIX in self.data or not any(key.startswith(f"{PREFIX}-") for key in self.data):
            return
        self.parts = made(project=project, start=begin, data=self.data)
        is_valid = self.parts.is_valid()
        self.data = self.data.copy()
        self.data[PREFIX] = json.dumps(self.parts.config() if is_valid else dict(begin))

    def clean(self) -> dict[str, Any]:
        """A fault of a part is a fault of the whole."""
        given = super().clean() or {}
        if self.parts is not None and self.parts.is_bound and not self.parts.is_valid():
            super().add_error(PREFIX, "Put right what is marked.")
        return given

    def add_error(self, field: str | None, error: Any) -> None:
        """What is wrong with the config stands beside the part it is about."""
        if field == PREFIX and self.parts is not None and isinstance(error, str):
            path, _, text = error.partition(": ")
            if text and (name := self.parts.place(path)):
                self.parts.is_valid()
                self.parts.add_error(name, text)
        super().add_error(field, error)
