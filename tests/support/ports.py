"""Ports that a test binds later, or binds again: no socket that dials takes them in the meantime."""

import os
import socket

from tests.support.sockets import HOST

FIRST, LAST = 20_000, 32_000
"""Below the range of ephemeral ports, from which sockets that dial and port 0 take theirs."""
OF_A_PROCESS = 16


def free_ports(count: int) -> int:
    """Returns the first of `count` consecutive ports that are free for TCP and UDP.

    Each test process has its own range: tests run in parallel.
    """
    begin = FIRST + os.getpid() * OF_A_PROCESS % (LAST - FIRST - 1000)
    for first in range(begin, LAST, count):
        if all(_is_free(number) for number in range(first, first + count)):
            return first
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind((HOST, port))
    except OSError:
        return False
    return True


def free_port() -> int:
    """Returns a port that is free for TCP and UDP."""
    return free_ports(1)
