"""Listening sockets that hold a limited number of connections.

The limit is at the accept, below TLS: a client that never finishes its handshake counts as well. Beyond it room is made
for a new connection, or it is closed: who opens many and sends nothing must not keep out a kubelet or an Alertmanager.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, MutableSet
from contextlib import ExitStack
from typing import Any
from weakref import WeakSet

from exporter.serving.address import Address

_NOT_THERE = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
"""A machine without IPv6, or without IPv4."""


async def listeners(address: Address, *, limit: int, make_room: Callable[[], bool]) -> list["Listener"]:
    """Bind a socket for each address that the host has; together they hold `limit` connections at most.

    Args:
        address: the host and the port.
        limit: number of connections, but for those that were closed to make room and are not gone yet.
        make_room: closes another connection; false where none can be spared.

    Raises:
        OSError: as for an address that is in use; nothing is left bound then.

    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    accepted: WeakSet[_Connection] = WeakSet()
    bound: list[Listener] = []
    skipped: list[OSError] = []
    with ExitStack() as undo:
        for family, _, _, _, where in dict.fromkeys(found):
            try:
                listener = undo.enter_context(_bind(family, where))
            except OSError as error:
                skipped.append(error)
                if address.host is not None or error.errno not in _NOT_THERE:
                    raise
            else:
                listener.accepted, listener.limit, listener.make_room = accepted, limit, make_room
                bound.append(listener)
        if not bound:
            raise skipped[0]
        undo.pop_all()
    return bound


class Listener(socket.socket):
    """Closes each connection beyond the limit as soon as it is accepted, unless room can be made."""

    accepted: MutableSet["_Connection"]
    limit: int
    make_room: Callable[[], bool]

    def accept(self) -> tuple[socket.socket, Any]:
        plain, peer = super().accept()
        if len(self.accepted) >= self.limit and not self.make_room():
            plain.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, "too many connections")  # asyncio tries the next one
        connection = _Connection(self.family, self.type, self.proto, fileno=plain.detach())
        connection.accepted = self.accepted
        self.accepted.add(connection)
        return connection, peer


class _Connection(socket.socket):
    accepted: MutableSet["_Connection"]

    def close(self) -> None:
        super().close()
        self.accepted.discard(self)


def _bind(family: int, where: Any) -> Listener:
    listener = Listener(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind(where)
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener
