"""Addresses and ports on loopback that nobody else uses."""

import contextlib
import random
import socket

from sandbox.cluster.addresses import Addresses

CLAIM_PORT = 6442


def free_port(host: str, preferred: int) -> int:
    """The preferred port, or any other where a program listens on it, be it on all addresses."""
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    raise OSError(f"no free port on {host}")


def claim_addresses() -> tuple[socket.socket, Addresses]:
    """A /24 of loopback addresses that nobody else uses, and the socket that says so to others."""
    chance = random.SystemRandom()
    for _ in range(100):
        prefix = f"127.{chance.randrange(10, 250)}.{chance.randrange(1, 250)}"
        claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            claim.bind((f"{prefix}.1", CLAIM_PORT))
        except OSError:
            claim.close()
        else:
            return claim, Addresses(prefix)
    raise OSError("no free loopback network found")
