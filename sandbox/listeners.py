"""Real TCP listeners on loopback addresses, for what the cluster says can be connected to.

The cluster decides, this only shows: after each change the listeners are made to equal `network.sockets()`. What is not
there refuses, since nothing listens.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from sandbox.bbs import BbsApi
from sandbox.cluster.cluster import Cluster
from sandbox.cluster.foundation import BBS_PORT
from sandbox.cluster.network import Manner, Socket

_STATUS: dict[Manner, str] = {"ping-ok": "200 OK", "ping-failing": "503 Service Unavailable"}


class Listeners:
    """Keeps the listeners in step with a cluster, from `start` to `close`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._open: dict[Socket, tuple[Manner, _Listener]] = {}
        self._bbs: BbsApi | None = None
        self._scheduled = False
        self._closed = False
        self._end_subscription: Callable[[], None] | None = None

    def start(self, bbs: BbsApi | None = None) -> None:
        """From now on; `bbs` speaks on the BBS's port, where without one nothing is said."""
        self._bbs = bbs
        self._end_subscription = self._cluster.subscribe(self._changed)
        self._reconcile()

    def close(self) -> None:
        self._closed = True
        if self._end_subscription is not None:
            self._end_subscription()
        for _, listener in self._open.values():
            listener.close()
        self._open.clear()

    def _changed(self) -> None:
        if not self._scheduled and not self._closed:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._reconcile)  # once for many changes

    def _reconcile(self) -> None:
        self._scheduled = False
        if self._closed:
            return
        wanted = self._cluster.network.sockets()
        for place, (manner, listener) in list(self._open.items()):
            new = wanted.get(place)
            if new in _STATUS and manner in _STATUS:
                listener.answer = _answer(new)  # the socket stays: a process that is unhealthy goes on listening
                self._open[place] = (new, listener)
            elif new != manner:
                listener.close()
                del self._open[place]
        for place, manner in wanted.items():
            if place not in self._open:
                self._open[place] = (manner, self._listen(place, manner))

    def _listen(self, place: Socket, manner: Manner) -> "_Listener":
        if manner == "blackhole":
            return _Blackhole(place)
        if manner == "mute" or (self._bbs is not None and place.port == BBS_PORT):
            listener: _Listener = _Bbs(place, self._bbs, mute=manner == "mute")
        else:
            listener = _Listener(place, _answer(manner), backlog=128)
        listener.accept()
        return listener


class _Listener:
    """Accepts, says what there is to say, and closes."""

    def __init__(self, place: Socket, answer: bytes, *, backlog: int) -> None:
        self.answer = answer
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setblocking(False)
            self._socket.bind((place.address, place.port))
            self._socket.listen(backlog)
        except OSError:
            self._socket.close()
            raise

    def accept(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for task in self._tasks:
            task.cancel()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._socket.accept()
            if not self.answer:
                connection.close()
                return
            connection.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._respond(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _respond(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with connection, contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                await loop.sock_recv(connection, 4096)
                await loop.sock_sendall(connection, self.answer)


class _Bbs(_Listener):
    """A BBS, which speaks TLS, or one that says nothing at all where there is none for that."""

    def __init__(self, place: Socket, api: BbsApi | None, *, mute: bool) -> None:
        super().__init__(place, b"-", backlog=128)
        self._api = api
        self._mute = mute

    async def _respond(self, connection: socket.socket) -> None:
        if self._api is not None:
            await self._api.serve(connection, mute=self._mute)
            return
        with connection, contextlib.suppress(OSError):
            while await asyncio.get_running_loop().sock_recv(connection, 4096):
                pass


class _Blackhole(_Listener):
    """Never completes a handshake: its queue is full, so the kernel drops every further SYN and clients time out."""

    def __init__(self, place: Socket) -> None:
        super().__init__(place, b"", backlog=0)
        self._fillers = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(2)]
        for filler in self._fillers:
            filler.setblocking(False)
            filler.connect_ex((place.address, place.port))

    def close(self) -> None:
        for filler in self._fillers:
            filler.close()
        super().close()


def _answer(manner: Manner) -> bytes:
    """What is said on a connection; nothing for a BBS, which wants TLS that nobody here speaks."""
    status = _STATUS.get(manner)
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode() if status else b""
