"""HTTP's basic authentication with bcrypt hashes."""

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from typing import Final

# bcrypt's hash of nothing: no password fits, and finding that out takes as long as with a real one.
_NOBODY: Final = "." * 53
_MAX_WAITING: Final = 64


class TooManyPasswordsError(Exception):
    """A flood of passwords."""


class Passwords:
    """bcrypt off the event loop, one at a time, and a memory of what fitted: a scraper comes every few seconds."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._fitted: set[bytes] = set()
        self._secret = secrets.token_bytes(32)

    async def fit(self, header: str, users: Mapping[str, str]) -> bool:
        """Whether an Authorization header has a user's password; for an unknown user it takes as long to refuse.

        Raises:
            TooManyPasswordsError: so many checks wait that another would only keep its sender waiting.

        """
        given = _basic_auth(header)
        if given is None:
            return False
        user, password = given
        hashed = users.get(user)
        if hashed is None:
            hashed = max(users.values(), key=lambda each: each[4:6])[:7] + _NOBODY
        # Parts of fixed length, and the whole keyed: what leaks from memory is of no use elsewhere.
        parts = (user.encode(errors="surrogateescape"), password, hashed.encode())
        joined = b"".join(hashlib.sha256(part).digest() for part in parts)
        key = hashlib.blake2b(joined, key=self._secret).digest()
        if key in self._fitted:
            return True
        if self._waiting >= _MAX_WAITING:
            raise TooManyPasswordsError
        self._waiting += 1
        try:
            async with self._lock:
                # As Go does it: bcrypt reads 72 bytes at most.
                fits = await asyncio.to_thread(_fits, password[:72], hashed.encode())
        finally:
            self._waiting -= 1
        if fits and user in users:
            if len(self._fitted) > len(users):
                self._fitted.clear()  # left from hashes that were changed
            self._fitted.add(key)
            return True
        return False


def _fits(password: bytes, hashed: bytes) -> bool:
    import bcrypt  # noqa: PLC0415 - most programs have no users

    return bcrypt.checkpw(password, hashed)


def user_of(header: str) -> str:
    """The user that an Authorization header names; whether the password fits is another question."""
    given = _basic_auth(header)
    return given[0] if given is not None else ""


def _basic_auth(header: str) -> tuple[str, bytes] | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user.decode(errors="surrogateescape"), password) if colon else None
