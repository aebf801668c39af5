"""The TLS context of a client, made again when its files change: a mounted Secret is replaced while we run."""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from typing import Final

from exporter.config.client_tls import client_context
from exporter.config.model import BbsTls
from exporter.config.pem import PemError
from exporter.serving.followed import signature

log = logging.getLogger(__name__)

RETRY: Final = 60.0
"""Seconds after which files that could not be used are read again although they look as before."""
_ATTEMPTS: Final = 3
"""How often files that change while they are read are read again at once."""


class FollowedContext:
    """The context that the files make. While they cannot be used there is none, and the log says once why."""

    def __init__(self, tls: BbsTls, *, foundation: str = "", monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tls = tls
        self._foundation = foundation
        self._monotonic = monotonic
        self._files = (tls.ca, tls.cert, tls.key)
        self._signature: tuple[object, ...] | None = None
        self._context: ssl.SSLContext | None = None
        self._read_at = 0.0
        self._failure = ""
        self._reading = asyncio.Lock()

    async def current(self) -> ssl.SSLContext | None:
        """The context now. One `stat` a file while none of them changes; they are read in a thread."""
        async with self._reading:  # of those that ask at the same time, one reads
            if not self._is_current():
                await self._read()
        return self._context

    def _is_current(self) -> bool:
        if signature(self._files) != self._signature:
            return False
        return self._context is not None or self._monotonic() - self._read_at < RETRY

    async def _read(self) -> None:
        first = self._signature is None
        for _ in range(_ATTEMPTS):
            seen = signature(self._files)  # before they are read: what changes meanwhile is read again
            try:
                context, failure = await asyncio.to_thread(self._make), ""
            except PemError as error:
                context, failure = None, str(error)
            if signature(self._files) == seen:
                break
        self._signature, self._context, self._read_at = seen, context, self._monotonic()
        if failure and failure != self._failure:
            self._say(logging.ERROR, "BBS is not called, its certificates cannot be used", problem=failure)
        elif not failure and not first:
            self._say(logging.INFO, "certificates for the BBS reloaded")
        self._failure = failure

    def _make(self) -> ssl.SSLContext:
        return client_context(ca=self._tls.ca, cert=self._tls.cert, key=self._tls.key)

    def _say(self, level: int, message: str, **details: str) -> None:
        log.log(level, message, extra={"foundation": self._foundation, **details})
