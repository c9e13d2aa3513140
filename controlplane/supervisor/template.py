"""Loads the application once and forks web, worker and ticker from it, which then share memory.

The supervisor asks over a socket; each fork is handed to it as its own child, so that it, and not
this process, sees how the fork ends. Nothing here may open a connection or start a thread.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

import django
from django.conf import settings
from django.core.management import execute_from_command_line, get_commands, load_command_class

from controlplane.supervisor.spawn import die_with_parent, name_process

COMMANDS = ("serve", "worker", "tick", "prepare", "collect", "instance_lost")


def load() -> None:
    """Import what the processes have in common."""
    django.setup()
    importlib.import_module(settings.ROOT_URLCONF)
    known = get_commands()
    for name in COMMANDS:
        if isinstance(known.get(name), str):
            load_command_class(known[name], name)


def complete() -> None:
    """Load the ASGI application too: its middleware lists the static files, so they must be there.

    Then everything loaded so far is put out of the garbage collector's sight, which would
    otherwise touch, and so copy, the shared memory of every fork.
    """
    importlib.import_module(settings.ASGI_APPLICATION.rpartition(".")[0])
    if threading.active_count() > 1:
        sys.stderr.write("A thread was started while loading; the forks will miss it.\n")
    gc.collect()
    gc.freeze()


def fork_off(channel: socket.socket) -> bool:
    """Fork twice and report the grandchild's process id; True in the grandchild.

    Its parent, the one in the middle, ends at once, and the kernel gives the grandchild to the
    supervisor, who has asked for orphans.
    """
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        grandchild = os.fork()
        if grandchild:
            os.write(writer, str(grandchild).encode())
            os._exit(0)
        os.close(reader)
        os.close(writer)
        return True
    os.close(writer)
    pid = int(os.read(reader, 32))
    os.close(reader)
    os.waitpid(middle, 0)
    channel.send(json.dumps({"pid": pid}).encode())
    return False


def become(request: dict[str, Any], supervisor: int) -> None:
    """Turn this fork into the process that was asked for."""
    os.setsid()
    deadline = time.monotonic() + 5
    while os.getppid() != supervisor and time.monotonic() < deadline:
        time.sleep(0.001)
    die_with_parent(signal.SIGTERM)
    if os.getppid() != supervisor:  # it ended before it could be told
        os._exit(1)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    for descriptor in request["close_fds"]:
        os.close(descriptor)
    os.environ.update(request["environment"])
    name_process(request["name"])
    sys.argv = ["manage.py", *request["command"]]


def main() -> None:
    """Load, say so, then complete and fork on request until the supervisor closes the socket."""
    supervisor = os.getppid()
    channel = socket.socket(fileno=int(sys.argv[1]))
    load()
    channel.send(b'{"ready": true}')
    while message := channel.recv(65536):
        request = json.loads(message)
        if request == {"complete": True}:
            complete()
        elif fork_off(channel):
            channel.close()
            become(request, supervisor)
            execute_from_command_line(sys.argv)
            return


if __name__ == "__main__":
    main()
