"""Where a Ray cluster is, found without importing Ray."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from pathlib import Path

from autometa.errors import InputError

AUTO = "auto"
CLIENT = "ray://"
ANSWER_SECONDS = 5.0
# HTTP/2 (RFC 9113), which gRPC runs over: both sides begin with a frame of settings; its fourth byte is the type.
SETTINGS, HEAD = 4, 9
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])


def check_address(address: str) -> None:
    """Hold an address against the forms that there are.

    Raises:
        InputError: it has none of them.
    """
    if address == AUTO:
        return
    found = re.fullmatch(r"(?:ray://)?(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(\d{1,5})", address)
    if not found or not 0 < int(found[1]) < 2**16:
        raise InputError(f"a Ray cluster is named auto, HOST:PORT or ray://HOST:PORT; got {address!r}")


def running_cluster() -> str | None:
    """The address that Ray itself would take: $RAY_ADDRESS, else the last cluster started on this machine."""
    named = os.environ.get("RAY_ADDRESS", "")
    if named not in ("", AUTO, "local"):
        return named
    try:
        found = _default_file().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    # The file outlives a cluster that was killed.
    return found if found and answers(found) else None


def answers(address: str) -> bool:
    """Whether somebody there speaks as Ray does.

    Ray itself waits for minutes for a server that says nothing, or that is another one.
    """
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return True
            connection.settimeout(ANSWER_SECONDS)
            connection.sendall(GREETING)
            head = b""
            while len(head) < HEAD and (more := connection.recv(HEAD - len(head))):
                head += more
    except (OSError, ValueError):
        return False
    return len(head) == HEAD and head[3] == SETTINGS


def _default_file() -> Path:
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    return Path(folder, "ray", "ray_current_cluster")
