"""The verbs in bulk that most registries have: delete, set the status, edit the tags. Each row goes
through the API's own viewset, so that both doors have one set of rules."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms

from controlplane.kit import doors
from controlplane.kit.bulk import Act
from controlplane.kit.forms import TagsField

MOST_TAGS, LONGEST_TAG = 50, 60


class TagWords(TagsField):
    """Tags, as the API takes them: a list of words, or words between commas."""

    def to_python(self, value: Any) -> list[str]:
        """The words, each once."""
        if isinstance(value, list | tuple):
            value = ",".join(str(word) for word in value)
        return super().to_python(value)

    def validate(self, value: Any) -> None:
        """Not too many and not too long."""
        super().validate(value)
        if len(value) > MOST_TAGS or any(len(word) > LONGEST_TAG for word in value):
            raise forms.ValidationError(
                f"At most {MOST_TAGS} tags of {LONGEST_TAG} characters.", "invalid"
            )


class TagsForm(forms.Form):
    """Which tags to put on and take off."""

    add = TagWords(required=False, label="Put on", help_text="Words between commas.")
    remove = TagWords(required=False, label="Take off", help_text="Words between commas.")

    def clean(self) -> dict[str, Any]:
        """At least one of the two, and no tag in both."""
        found: dict[str, Any] = super().clean() or self.cleaned_data
        added, removed = found.get("add") or [], found.get("remove") or []
        if not (added or removed) and not self.errors:
            self.add_error("add", forms.ValidationError("Name a tag.", "required"))
        if both := set(added) & set(removed):
            self.add_error(
                "remove", forms.ValidationError(f"{min(both)} stands in both.", "invalid")
            )
        return found


def delete(viewset_class: Any) -> Act:
    """To the trash; what something uses is refused."""

    def perform(row: Any, actor: Any, options: Mapping[str, Any]) -> None:
        doors.door(viewset_class, actor, "destroy").remove(row, hard=False)

    def look(row: Any, actor: Any) -> str | None:
        used = doors.door(viewset_class, actor).used_by(row, hard=False)
        return "Something still uses it." if used else None

    return Act(
        "delete",
        "Delete",
        "delete",
        perform,
        done="in the trash",
        icon="trash",
        danger=True,
        look=look,
        note="They go to the trash, from where each can be restored.",
    )


def set_status(viewset_class: Any, choices: Iterable[tuple[str, str]]) -> Act:
    """The same status for all."""
    pairs = [(value, label) for value, label in choices]
    field = forms.ChoiceField(choices=pairs, label="Status")
    form = type("StatusForm", (forms.Form,), {"status": field})

    def perform(row: Any, actor: Any, options: Mapping[str, Any]) -> None:
        if row.status != options["status"]:
            doors.change_locked(viewset_class, row, actor, {"status": options["status"]})

    return Act(
        "status", "Set status", "change", perform, done="changed", icon="check", form_class=form
    )


def tags_after(tags: Iterable[str], options: Mapping[str, Any]) -> list[str]:
    """A row's tags once those of TagsForm are put on and taken off."""
    kept = [tag for tag in tags if tag not in options["remove"]]
    return list(dict.fromkeys([*kept, *options["add"]]))


def edit_tags(viewset_class: Any) -> Act:
    """Put tags on and take them off."""

    def perform(row: Any, actor: Any, options: Mapping[str, Any]) -> None:
        tags = tags_after(row.tags, options)
        if tags != row.tags:
            doors.change_locked(viewset_class, row, actor, {"tags": tags})

    return Act(
        "tags", "Edit tags", "change", perform, done="changed", icon="tag", form_class=TagsForm
    )
