"""What a task's process may not do: take much memory or time, reach a network, write into the project."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import socket
import sys
from typing import Any

from .processes import die_with_parent
from .protocol import Task

_MEGA = 1 << 20
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "WANDB_MODE": "disabled",
}


class NetworkRefusedError(OSError):
    """The model's code tried to reach a network."""


def confine(task: Task, folder: str) -> None:
    """Set the limits of this process and go to a folder that is deleted afterwards."""
    die_with_parent()
    os.chdir(folder)
    os.environ.update(_OFFLINE, TMPDIR=folder)
    sys.argv[:] = [os.path.basename(task.path)]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    refuse_network()
    if task.device == "cpu":
        leave_networks()
    if task.megabytes and task.device == "cpu":
        _limit_memory(task.megabytes)


_NEW_USER, _NEW_NET = 0x10000000, 0x40000000


def leave_networks() -> None:
    """Go where there is no network device, as far as the system lets anybody do that."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None).unshare(_NEW_USER | _NEW_NET):
        return
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with contextlib.suppress(OSError), open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(line)


def _limit_memory(megabytes: int) -> None:
    """So much more private memory than now; beyond, allocations fail."""
    with open("/proc/self/status", encoding="ascii") as file:
        held = next(int(line.split()[1]) for line in file if line.startswith("VmData"))
    limit = held * 1024 + megabytes * _MEGA
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def refuse_network() -> None:
    """No address of the internet can be connected to or looked up any more."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refused(original: Any) -> Any:
        def call(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                raise NetworkRefusedError(f"no network while verifying (tried to reach {address})")
            return original(self, address)

        return call

    def lookup(host: Any, *rest: Any, **named: Any) -> Any:
        raise NetworkRefusedError(f"no network while verifying (tried to reach {host})")

    socket.socket.connect = refused(connect)  # type: ignore[method-assign]
    socket.socket.connect_ex = refused(connect_ex)  # type: ignore[method-assign]
    socket.getaddrinfo = lookup
    socket.gethostbyname = lookup
