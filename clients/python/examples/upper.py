"""An example worker: answers its task in capital letters.

SPARKOPS_URL, SPARKOPS_TOKEN and SPARKOPS_AGENT say where, as whom and for which agent;
SPARKOPS_ENVIRONMENT (dev) in which environment.
"""

import logging
import os
import time

from sparkops_worker import Answer, Task, TaskFailed, Worker


def handle(task: Task) -> Answer:
    """`fail …` fails, `sleep N` takes N seconds, everything else comes back in capitals."""
    word, _, rest = task.prompt.partition(" ")
    if word == "fail":
        raise TaskFailed(rest or "Told to fail.", code="told_to_fail", retryable=False)
    if word == "sleep":
        until = time.monotonic() + float(rest)
        while time.monotonic() < until and not task.cancelled.is_set():
            time.sleep(0.05)
    task.log("info", f"Answering {len(task.prompt)} characters", {"attempt": task.attempt})
    words = task.prompt.split()
    return Answer(text=task.prompt.upper(), data={"words": len(words)}, output_tokens=len(words))


def main() -> None:
    """Work until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    Worker(
        os.environ["SPARKOPS_URL"],
        token=os.environ["SPARKOPS_TOKEN"],
        agent=os.environ["SPARKOPS_AGENT"],
        environment=os.environ.get("SPARKOPS_ENVIRONMENT", "dev"),
        capacity=int(os.environ.get("SPARKOPS_CAPACITY", "2")),
        poll_seconds=0.2,
    ).run(handle)


if __name__ == "__main__":
    main()
