"""The engine of one worker process: leases steps, works on them, writes how they ended.

One thread owns the database side: it collects the ends of steps, commits them together with what
follows and with new claims, and hands the claimed steps out. While one commit is under way the
next ends gather, so that under load many steps share a commit and an idle engine waits for nobody.
Work runs on threads (`cpu`), on one event loop (`io`), or at once (`inline`); none of it holds a
database connection.
"""

import asyncio
import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any
from uuid import UUID

import psycopg

from controlplane.kit.events import announce
from controlplane.kit.queue import ring
from runs.admission import admit
from runs.dispatch import Claimed, Dispatcher, Outcome
from runs.facts import Facts
from runs.logs import LogBuffer
from runs.placing import graph_at
from runs.release import tell
from runs.rows import Ended, StepRow
from runs.steps import kind_module
from runs.store import Store, decide, wake_parent
from runs.work import (
    Done,
    StepCancelled,
    StepFailed,
    StepWork,
    conclude,
    failed,
    is_database_away,
    succeeded,
)

logger = logging.getLogger(__name__)

POLL_SECONDS = 2.0
CHAIN_STEPS = 100
CHAIN_SECONDS = 1.0
MOST_CHAINS = 5_000
BATCH = 64
INLINE_SLOTS = 100
UNWRITABLE = "output_not_storable"
_WAKE = object()
# What a step hands to the database thread: its end, or None where it is another's.
Post = tuple[StepWork, Ended | None]


class Slots:
    """Free places of the pools. Touched by the database thread only. What is over at once has
    places of its own, so that it shares commits with more of its kind than there are threads."""

    def __init__(self, cpu: int, io: int) -> None:
        self.size = {"cpu": cpu, "io": io, "inline": INLINE_SLOTS}
        self.free = dict(self.size)

    def recount(self, occupied: Iterable[StepWork]) -> None:
        """After something went wrong: what is not occupied is free."""
        self.free = dict(self.size)
        for step in occupied:
            self.free[step.pool] -= 1

    def take(self, pool: str) -> bool:
        """Occupy a place, if one is free."""
        if self.free[pool] <= 0:
            return False
        self.free[pool] -= 1
        return True

    def give(self, pool: str) -> None:
        """Free a place."""
        self.free[pool] += 1


class Taker:
    """Takes slots for steps that became ready, and gives them back where the commit was refused."""

    def __init__(self, engine: "Engine") -> None:
        self.engine = engine

    def __call__(self, step: StepRow) -> bool:
        """Whether this worker goes on with the step itself."""
        engine = self.engine
        return (
            engine.claims
            and step.queue == engine.queue_name
            and engine.chain_goes_on(step.run_id)
            and engine.slots.take(step.pool)
        )

    def give_back(self, step: StepRow) -> None:
        """The step was not leased after all."""
        self.engine.slots.give(step.pool)


class Engine:
    """Claims and executes the ready steps of one queue."""

    def __init__(
        self, *, conninfo: str, worker_id: UUID, queue_name: str, threads: int, io_slots: int = 200
    ) -> None:
        self.conninfo = conninfo
        self.worker_id = worker_id
        self.queue_name = queue_name
        self.slots = Slots(threads, io_slots)
        self.facts = Facts()
        self.dispatcher = Dispatcher(self.facts, worker_id, queue_name)
        self.store = Store(conninfo)
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.working: dict[UUID, StepWork] = {}
        self.logs = LogBuffer(conninfo)
        self.may_claim = True
        self.is_fenced = False
        self._stopping = threading.Event()
        self._wants_claim = True
        self._instant: list[Post] = []
        # Steps that ended while a thread still works on them: their slots are not free yet.
        self._late: set[StepWork] = set()
        self._chains: dict[UUID, tuple[int, float]] = {}
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="step")
        self._loop = asyncio.new_event_loop()
        self._conn: psycopg.Connection | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._loop_thread = threading.Thread(
            target=self._loop.run_forever, name="engine-io", daemon=True
        )

    # Life

    def start(self) -> None:
        """Begin to claim and work."""
        self._loop_thread.start()
        self.logs.start()
        self._thread.start()

    def wake(self) -> None:
        """There may be something to claim: called by the doorbell's actor."""
        self.inbox.put(_WAKE)

    def drain(self, timeout_seconds: float) -> bool:
        """Claim nothing new and wait for the work in hand; whether all of it ended in time."""
        self.may_claim = False
        deadline = time.monotonic() + timeout_seconds
        while self.working and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self.working

    def stop(self, timeout_seconds: float = 5) -> None:
        """End the threads; work still in hand is abandoned. A statement under way is waited for so
        long."""
        for step in list(self.working.values()):
            step.is_abandoned = True
            step.stop.set()
        self._stopping.set()
        self.wake()
        self._thread.join(timeout_seconds)
        self.logs.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.store.close()

    def log(self, step: StepWork, level: str, message: str, data: Any) -> None:
        """One log line of a step."""
        self.logs.add(step.run.id, step.run.project_id, step.id, level, message, data)

    # The database thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            posts = self._gather()
            try:
                self._turn(posts)
            except Exception as exc:
                self._disconnect()
                self._recount()
                if is_database_away(exc) or isinstance(exc, psycopg.errors.DeadlockDetected):
                    logger.warning("database away, will try again: %s", exc)
                    for post in posts:
                        self.inbox.put(post)
                    self._stopping.wait(0.5)
                else:
                    logger.exception("a commit of %d ends failed", len(posts))
                    self._salvage(posts)

    def _gather(self) -> list[Post]:
        posts, self._instant = self._instant, []
        timeout: float | None = None if posts else POLL_SECONDS
        while len(posts) < BATCH:
            try:
                item = self.inbox.get(timeout=timeout) if timeout else self.inbox.get_nowait()
            except queue.Empty:
                self._wants_claim = self._wants_claim or timeout is not None
                break
            timeout = None
            if item is _WAKE:
                self._wants_claim = True
            else:
                posts.append(item)
        return self._current(posts)

    def _current(self, posts: list[Post]) -> list[Post]:
        """The first post of each step in hand. What comes from a step that ended before, or that is
        another's by now, changes nothing; but a thread that was late is free now."""
        found: dict[UUID, Post] = {}
        for step, ended in posts:
            if step in self._late:
                self._late.discard(step)
                self.slots.give(step.pool)
                self._wants_claim = True
            elif self.working.get(step.id) is not step:
                continue
            elif ended is None:
                self._let_go([step])
            elif step.id not in found:
                found[step.id] = (step, ended)
        return [post for post in found.values() if self.working.get(post[0].id) is post[0]]

    def _turn(self, posts: list[Post]) -> None:
        """Write what ended and what follows, claim where slots are free, hand everything out."""
        conn = self._connection()
        outcome = Outcome()
        if posts:
            # Their slots may be taken by what follows, in the same commit.
            steps = [step for step, _ in posts]
            self._free(steps)
            outcome = self.dispatcher.complete(conn, [ended for _, ended in posts], Taker(self))
            for step in steps:
                del self.working[step.id]
            for step in self.working.values() if outcome.ending else ():
                if step.run.id in outcome.ending:
                    self.request_stop(step)
            for under in outcome.closed:
                for step in list(self.working.values()):
                    if step.run.id == under.run_id and under.holds(step.path):
                        self.request_stop(step)
        claimed = outcome.claimed
        if self._wants_claim and self.claims:
            claimed = claimed + self._claim(conn)
        self._start_all(conn, claimed)
        self._tell(outcome)

    def _free(self, steps: Iterable[StepWork]) -> None:
        for step in steps:
            if step.is_on_thread:
                self._late.add(step)
            else:
                self.slots.give(step.pool)

    def _let_go(self, steps: Iterable[StepWork]) -> None:
        """Steps that are not ours any more."""
        for step in steps:
            del self.working[step.id]
            self._free([step])
            self._wants_claim = True

    def _claim(self, conn: psycopg.Connection) -> list[Claimed]:
        free = {pool: max(places, 0) for pool, places in self.slots.free.items()}
        if not any(free.values()):
            return []
        found, new_runs = self.dispatcher.claim(conn, free)
        for step in found:
            self.slots.take(step.pool)
        for run_id in new_runs:
            self._chains[run_id] = (0, time.monotonic())
        # As many as asked for: there may be more, so ask again when a slot is free.
        got = Counter(step.pool for step in found)
        self._wants_claim = any(got[pool] >= places for pool, places in free.items())
        return found

    @property
    def claims(self) -> bool:
        """Whether new work may be leased."""
        return self.may_claim and not self.is_fenced

    def chain_goes_on(self, run_id: UUID) -> bool:
        """A run keeps its worker for a while, then queues with the others again."""
        steps, since = self._chains.get(run_id, (0, time.monotonic()))
        if steps >= CHAIN_STEPS or time.monotonic() - since > CHAIN_SECONDS:
            self._chains.pop(run_id, None)
            self._wants_claim = True
            return False
        if len(self._chains) > MOST_CHAINS:
            self._chains.clear()
        self._chains[run_id] = (steps + 1, since)
        return True

    def _tell(self, outcome: Outcome) -> None:
        if outcome.groups:
            announce(outcome.groups, is_urgent=outcome.is_urgent)
        for queue_name, times in outcome.ring.items():
            if queue_name == self.queue_name:
                self._wants_claim = True
                self.wake()
            if queue_name != self.queue_name or min(self.slots.free.values()) <= 0:
                ring("wake", queue_name, times=min(times, 8))
        if outcome.undecided:
            self._decide(outcome.undecided)
        for run_id in outcome.ended_children:
            tell(*wake_parent(self._connection(), run_id))
        for workflow_id in outcome.freed:
            conn = self._connection()
            with conn.transaction():
                heard = admit(conn, workflow_id)
            tell(*heard)

    def _decide(self, undecided: list[Ended]) -> None:
        """The run's row was busy: decide as soon as it is free."""
        conn = self._connection()
        for run_id in {ended.run_id for ended in undecided}:
            groups, queues = decide(conn, self.facts, run_id)
            self.dispatcher.views.forget(run_id)
            announce(groups)
            for queue_name in queues:
                ring("wake", queue_name)

    def _salvage(self, posts: list[Post]) -> None:
        """A batch that the database refuses is written one by one. What cannot be written ends its
        step with a reason; what cannot even be decided counts as a crash, so that it is parked in
        the end instead of hanging or being tried for ever."""
        for step, ended in posts:
            if self.working.get(step.id) is not step:
                continue
            try:
                self._turn([(step, ended)])
            except Exception as exc:
                self._disconnect()
                self._recount()
                if is_database_away(exc):
                    self.inbox.put((step, ended))
                elif ended is not None and ended.reason != UNWRITABLE:
                    logger.exception("the end of step %s cannot be written", step.id)
                    step.spent, step.input = Done(), None
                    message = f"The result cannot be stored: {type(exc).__name__}."
                    failure = StepFailed(message, code=UNWRITABLE, is_retryable=False)
                    self._post(step, failed(step, failure))
                else:
                    logger.exception("the end of step %s cannot be decided", step.id)
                    self._let_go([step])

    def _recount(self) -> None:
        self._late.difference_update(self.working.values())
        self.slots.recount([*self.working.values(), *self._late])

    def _connection(self) -> psycopg.Connection:
        if self._conn is None or self._conn.closed:
            self._conn = psycopg.connect(self.conninfo, autocommit=True)
        return self._conn

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    # Handing out

    def _start_all(self, conn: psycopg.Connection, claimed: list[Claimed]) -> None:
        if not claimed:
            return
        self.facts.load_runs(conn, {c.run_id for c in claimed})
        keys = []
        for c in claimed:
            references = self._graph(conn, c).nodes[c.node].references
            keys += self.facts.keys(conn, c.run_id, c.path, references)
        self.facts.load_steps(conn, keys)
        self.facts.load_words(conn, [(c.run_id, c.path) for c in claimed if c.path])
        for c in claimed:
            try:
                self._start(conn, c)
            except psycopg.Error:
                raise
            except Exception:
                # The heart gives its lease back as a crash; after three it is parked.
                logger.exception("step %s cannot be handed out", c.id)
                self.slots.give(c.pool)

    def _graph(self, conn: psycopg.Connection, c: Claimed) -> Any:
        return graph_at(self.facts.graph_of(conn, c.run_id), c.path)

    def _start(self, conn: psycopg.Connection, c: Claimed) -> None:
        run, graph = self.facts.run(conn, c.run_id), self._graph(conn, c)
        node = graph.nodes[c.node]
        context = self.facts.context(conn, c.run_id, c.path, node.references)
        step = StepWork(
            id=c.id,
            run=run,
            graph=graph,
            node=node,
            path=c.path,
            lease=c.lease,
            attempt=c.attempt,
            crash_count=c.crash_count,
            pool=c.pool,
            context=context,
            worker=self,
            timeout_seconds=node.timeout_seconds,
            state=c.state or {},
        )
        self.working[c.id] = step
        try:
            self._hand_out(step)
        except StepFailed as exc:
            self._post(step, failed(step, exc))
        except Exception as exc:
            logger.exception("step %s cannot be started", c.id)
            self._post(step, failed(step, exc))

    def _hand_out(self, step: StepWork) -> None:
        module = kind_module(step.node.kind)
        if module.is_instant(step):
            self._do_now(step, module)
        elif step.pool == "io":
            asyncio.run_coroutine_threadsafe(self._work_io(step), self._loop)
        else:
            step.is_on_thread = True
            self._pool.submit(self._work_cpu, step)

    def _do_now(self, step: StepWork, module: ModuleType) -> None:
        """Work that is over in microseconds is done here: its end joins the next commit."""
        ended = conclude(step, lambda: module.work(step))
        if ended is None:
            self._let_go([step])
        else:
            self._instant.append((step, ended))

    def _post(self, step: StepWork, ended: Ended | None) -> None:
        """Hand an end to the database thread; an abandoned step only frees its slot."""
        self.inbox.put((step, ended))

    def expire(self, step: StepWork) -> None:
        """A step on a thread took longer than its timeout: it fails now; what the thread still does
        changes nothing, but until then it is no free slot."""
        # First the end, then the flag: the thread must not end the step as cancelled.
        self._post(step, failed(step, TimeoutError()))
        step.stop.set()

    def abandon(self, step: StepWork) -> None:
        """The lease is another's: stop, and write nothing."""
        step.is_abandoned = True
        self.request_stop(step)
        self._post(step, None)

    def _work_cpu(self, step: StepWork) -> None:
        def work() -> Done:
            step.check_cancelled()
            return kind_module(step.node.kind).work(step)

        ended = conclude(step, work)
        step.is_on_thread = False
        self._post(step, ended)

    def request_stop(self, step: StepWork) -> None:
        """The run is being cancelled: no further call starts; a read in flight is cut off, another
        call gets the time the sweep grants."""
        step.stop.set()
        if step.task is not None:
            self._loop.call_soon_threadsafe(self._cut_off, step)

    def _cut_off(self, step: StepWork) -> None:
        # On the loop's own thread: no call is declared between the question and the answer.
        if step.task is not None and not step.open_effects:
            step.task.cancel()

    async def _work_io(self, step: StepWork) -> None:
        ended: Ended | None
        step.task = asyncio.current_task()
        try:
            step.check_cancelled()
            module = kind_module(step.node.kind)
            async with asyncio.timeout(step.node.timeout_seconds):
                done = await module.work_async(step)
            ended = succeeded(step, done)
        except asyncio.CancelledError:
            cut = StepFailed("The work was cut off.", code="interrupted")
            ended = failed(step, StepCancelled() if step.stop.is_set() else cut)
        except Exception as exc:
            ended = failed(step, exc)
        step.task = None
        self._post(step, ended)
