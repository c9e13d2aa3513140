"""Leases of workers that came by HTTP run out: then their steps are others'."""

import psycopg

from runs import release
from runs.lifecycle import Ledger, read_rows

REASON = "lease_expired"
EXPIRED = {"code": "lease_expired", "message": "The worker did not renew its lease of this step."}

_RUNS = """
SELECT DISTINCT s.run_id FROM step s JOIN instance i ON i.id = s.worker_id
WHERE s.status = 'running' AND s.wake_at < clock_timestamp() AND i.queue <> 'shared' LIMIT 500
"""
_STEPS = """
SELECT s.id, s.node, s.crash_count, s.attempt, s.pool, s.queue, s.worker_id, s.leased_at FROM step s
WHERE s.run_id = %s AND s.status = 'running' AND s.wake_at < clock_timestamp() FOR UPDATE
"""


def expire(conn: psycopg.Connection) -> int:
    """Give the steps of leases that ran out to others, each run in a commit of its own; after three
    times they are parked. How many. `conn` is in autocommit."""
    count = 0
    for (run_id,) in conn.execute(_RUNS).fetchall():
        queues: set[str] = set()
        with conn.transaction():
            ledger = Ledger(conn)
            for run in ledger.lock([run_id]):
                steps = read_rows(conn, _STEPS, [run_id])
                queues |= release.crash(ledger, run, steps, REASON, EXPIRED)
                count += len(steps)
            ledger.write()
        release.tell(ledger.groups(), queues)
    return count
