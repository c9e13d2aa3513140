"""The sockets: /ws/runs/{id}, /ws/agents/{id}, /ws/activity. One base, three short routes."""

import asyncio
import logging
import time
from typing import Any, ClassVar
from urllib.parse import parse_qs
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseError

from agents.models import Agent
from controlplane import live
from controlplane.frames import send_all
from controlplane.kit.ids import parse_uuid
from controlplane.kit.json import dumps
from projects.authentication import refreshed, user_from_scope
from projects.models import Project
from projects.people import User
from runs.models import Run

logger = logging.getLogger(__name__)
NOT_SIGNED_IN, FORBIDDEN, ABSENT, SLOW = 4401, 4403, 4404, 4408
TRY_AGAIN = 1013
PING_SECONDS = 20
MESSAGES_A_WRITE = 100
CHECK_SECONDS = 3
# So long an answer about a principal's rights serves other sockets of theirs.
SHARED_SECONDS = 1
_asked: dict[Any, asyncio.Task[int]] = {}


class LiveConsumer(AsyncWebsocketConsumer):
    """Follows one subject for one principal, from a seq on; sends, never listens."""

    permission: ClassVar[str]
    kind: ClassVar[str]

    def find(self, user: User) -> Any:
        """The row the socket is about, where `user` may see it."""
        raise NotImplementedError

    def subject_key(self, row: Any) -> UUID:
        """The key of its events."""
        return row.pk

    async def connect(self) -> None:
        """Accept, refuse with a code that browsers can read, or begin."""
        self.reader: live.Reader | None = None
        self.tasks: list[asyncio.Task[None]] = []
        user, subprotocol = await user_from_scope(self.scope)
        await self.accept(subprotocol)
        if user is None:
            await self.close(NOT_SIGNED_IN)
            return
        row, code = await self._look(user)
        if row is None:
            await self.close(code)
            return
        self.user = user
        self.subject = subject = live.Subject(self.kind, self.subject_key(row))
        last_seq = await subject.last_seq()
        self.listener = live.Listener(
            seq=self._after(last_seq), hears_whispers=self._query("tokens") == "1"
        )
        await self.send(dumps({"type": "ready", "last_seq": last_seq}).decode())
        self.tasks = [
            asyncio.create_task(self._pump()),
            asyncio.create_task(self._keep()),
            asyncio.create_task(self._join(subject)),
        ]

    async def _join(self, subject: live.Subject) -> None:
        try:
            self.reader = await live.follow(subject, self.listener)
        except Exception:
            # The client comes again with its last seq; a silent socket would help nobody.
            logger.exception("the events of %s cannot be followed", subject)
            await self.close(TRY_AGAIN)

    def _after(self, last_seq: int) -> int:
        text = self._query("after")
        is_number = text.isascii() and text.isdigit() and len(text) <= 18
        return int(text) if is_number else last_seq

    def _query(self, name: str) -> str:
        return parse_qs(self.scope["query_string"].decode("latin-1")).get(name, [""])[0]

    async def _look(self, user: User) -> tuple[Any, int]:
        row = await database_sync_to_async(self.find)(user)
        if row is None:
            return None, ABSENT
        if not user.has_perm(self.permission, row):
            return None, FORBIDDEN
        return row, 0

    async def disconnect(self, code: int) -> None:
        """Leave the reader and end the tasks."""
        for task in self.tasks:
            task.cancel()
        if self.reader is not None:
            await live.leave(self.reader, self.listener)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """What a client says is ignored."""

    async def _pump(self) -> None:
        waiting = self.listener.waiting
        while True:
            messages = [await waiting.get()]
            while len(messages) < MESSAGES_A_WRITE and not waiting.empty():
                messages.append(waiting.get_nowait())
            await send_all(self.base_send, messages)
            if self.listener.is_slow and self.listener.waiting.empty():
                await self.close(SLOW)
                return

    async def _keep(self) -> None:
        """Ping, and look again whether the principal may still see this."""
        next_ping = time.monotonic() + PING_SECONDS
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if self.listener.is_slow:
                await self.close(SLOW)
                return
            if time.monotonic() >= next_ping:
                await self.send('{"type":"ping"}')
                next_ping = time.monotonic() + PING_SECONDS
            try:
                code = await self._code_now()
            except (OSError, DatabaseError) as exc:  # Away for a moment; asked again soon.
                logger.warning("membership not checked: %s", exc)
                continue
            if code:
                await self.close(code)
                return

    async def _code_now(self) -> int:
        """The code to close with, where the principal may not look any more; else 0. Sockets of one
        principal on one subject ask together."""
        loop = asyncio.get_running_loop()
        key = (loop, type(self), self.user.credential, self.subject)
        asking = _asked.get(key)
        if asking is None:
            asking = _asked[key] = asyncio.create_task(self._ask_code())
            loop.call_later(SHARED_SECONDS, _asked.pop, key, None)
        return await asyncio.shield(asking)

    async def _ask_code(self) -> int:
        user = await refreshed(self.user)
        if user is None:
            return NOT_SIGNED_IN
        row, _ = await self._look(user)
        return FORBIDDEN if row is None else 0


class RunConsumer(LiveConsumer):
    """Every event of a run."""

    permission = "runs.view_run"
    kind = "run"

    def find(self, user: User) -> Run | None:
        """The run of the path."""
        run_id = parse_uuid(self.scope["url_route"]["kwargs"]["pk"])
        return (
            run_id
            and Run.objects.visible_to(user).only("id", "project_id").filter(pk=run_id).first()
        )


class AgentConsumer(LiveConsumer):
    """Health, instances and scaling of an agent."""

    permission = "agents.view_agent"
    kind = "agent"

    def find(self, user: User) -> Agent | None:
        """The agent of the path."""
        agent_id = parse_uuid(self.scope["url_route"]["kwargs"]["pk"])
        return agent_id and Agent.objects.visible_to(user).filter(pk=agent_id).first()


class ActivityConsumer(LiveConsumer):
    """The activity of a project."""

    permission = "projects.view_project"
    kind = "activity"

    def find(self, user: User) -> Project | None:
        """The project of the query."""
        query = parse_qs(self.scope["query_string"].decode("latin-1"))
        project_id = parse_uuid(query.get("project", [""])[0])
        return project_id and Project.objects.visible_to(user).filter(pk=project_id).first()
