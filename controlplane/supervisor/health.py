"""Asks the web process over HTTP whether it is ready; without http.client, to stay small."""

import socket


def status(host: str, port: int, path: str = "/health/ready", seconds: float = 2) -> int | None:
    """The status code of a GET, None where nothing answers in time."""
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            name = f"[{host}]" if ":" in host else host
            request = f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            words = connection.recv(256).split(b" ", 2)
    except OSError:
        return None
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None
