"""What uses what: rows that link a user to what it uses, in the user's own app.

The used app lies further left and knows nothing of its users; it finds them by Django's reverse
relations to links. A link is a real foreign key with RESTRICT, so the database agrees.
"""

from collections.abc import Iterator
from typing import Any

from django.db import models
from django.db.models import QuerySet

MOST_TOLD = 20


class Link(models.Model):
    """An app's rows of the kind "this uses that". Subclasses say what counts and in which words."""

    class Meta:
        abstract = True

    @classmethod
    def users(cls, links: QuerySet, *, hard: bool) -> list[str]:
        """In words, those of the users behind `links` that forbid deleting for good (`hard`) or
        putting into the trash."""
        raise NotImplementedError

    @classmethod
    def of_trash(cls, links: QuerySet) -> QuerySet:
        """Those whose user is in the trash: they forbid nothing, and go."""
        raise NotImplementedError


def _links(row: models.Model) -> Iterator[tuple[type[Link], QuerySet]]:
    for relation in row._meta.related_objects:
        model: Any = relation.related_model
        # A link also points at its user, with CASCADE: that side forbids nothing.
        if issubclass(model, Link) and relation.on_delete is models.RESTRICT:
            yield model, model._default_manager.filter(**{relation.field.name: row})


def users_of(row: models.Model, *, hard: bool) -> list[str]:
    """What uses a row and forbids deleting it, in words; at most MOST_TOLD of each kind."""
    return [words for model, links in _links(row) for words in model.users(links, hard=hard)]


def release(row: models.Model) -> None:
    """Before a row is deleted for good: links from the trash let go of it."""
    for model, links in _links(row):
        model.of_trash(links).delete()


def users(row: models.Model) -> list[dict[str, Any]]:
    """The rows that use `row` and are not in the trash: {kind, id, name, url}, at most MOST_TOLD of
    each kind."""
    found: dict[Any, dict[str, Any]] = {}
    for model, links in _links(row):
        side: Any = next(
            field
            for field in model._meta.get_fields()
            if isinstance(field, models.ForeignKey)
            and field.remote_field.on_delete is models.CASCADE
        )
        alive = links.filter(**{f"{side.name}__deleted_at": None}).select_related(side.name)
        for link in alive.order_by(f"{side.name}__name")[:MOST_TOLD]:
            user = getattr(link, side.name)
            found[user.pk] = {
                "kind": str(user._meta.verbose_name),
                "id": user.pk,
                "name": str(user),
                "url": user.get_absolute_url(),
            }
    return list(found.values())
