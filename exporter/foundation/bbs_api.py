"""The one call of the BBS's API that is made here: its request, and what an answer says. Pure, bytes in and out.

`POST /v1/domains/list` (`routes.go` of cloudfoundry/bbs) is among the cheapest calls that read the BBS's database: one
SELECT on a table of a few rows (`db/sqldb/domain_db.go`), with an empty request (`DomainRequest` in
`models/domain.proto`). It has had this path in every version. `/v1/ping` would not do: its handler answers by itself
(`handlers/ping_handler.go`), also where the database is silent. Where the database fails, the answer is 200 all the
same, with an error inside (`handlers/domain_handlers.go`, `models/error.proto`).
"""

import re
from collections.abc import Iterator
from typing import Final

from exporter.config.types import printable
from exporter.foundation.view import CallResult

DOMAINS: Final = "/v1/domains/list"

_PROTOBUF: Final = "application/x-protobuf"  # ProtoContentType in client.go
_STATUS_LINE: Final = re.compile(r"HTTP/1\.[01] ([0-9]{3})\b")
_ERROR, _MESSAGE = 1, 2
"""The numbers of `DomainsResponse.error` and of `Error.message`."""


def request(path: str, *, host: str) -> bytes:
    """A request without a body, after which the server closes the connection."""
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: {_PROTOBUF}",
        "Content-Length: 0",
        "Connection: close",
        "User-Agent: diego-medic",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


class Head:
    """The head of a response: its status, and the headers that matter here. Raises ValueError for what is no head."""

    def __init__(self, head: bytes) -> None:
        status_line, *lines = head.decode("latin-1").split("\r\n")
        found = _STATUS_LINE.match(status_line)
        if found is None:
            raise ValueError("this is not HTTP")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.status = int(found[1])
        self.is_protobuf = headers.get("content-type", "").partition(";")[0].strip().lower() == _PROTOBUF
        length = headers.get("content-length", "")
        self.length = int(length) if length.isdecimal() else None
        """Number of bytes of the body; None: up to the end of the connection."""


def judge(head: Head, body: bytes) -> tuple[CallResult, str]:
    """What the answer is worth, in a word and in the server's words."""
    if head.status >= 500:
        return CallResult.FAILED, f"HTTP status {head.status}"
    if head.status != 200 or not head.is_protobuf:
        return CallResult.ERROR, f"HTTP status {head.status}, and not the answer of a BBS"
    try:
        error = error_in(body)
    except ValueError as wrong:
        return CallResult.ERROR, f"not a DomainsResponse: {wrong}"
    return (CallResult.ANSWERED, "") if error is None else (CallResult.FAILED, error)


def error_in(response: bytes) -> str | None:
    """The error in a `DomainsResponse`, in the BBS's words; None: it has none. Raises ValueError for anything else."""
    for number, value in _fields(response):
        if number == _ERROR and isinstance(value, bytes):
            texts = [each for field, each in _fields(value) if field == _MESSAGE and isinstance(each, bytes)]
            words = printable(texts[-1].decode("utf-8", "replace"))[:200] if texts else ""
            return words or "an error without a message"
    return None


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: their numbers and values, with nested messages as bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                value, at = _varint(message, at)
                yield key >> 3, value
                continue
            case 1:
                size = 8
            case 2:
                size, at = _varint(message, at)
            case 5:
                size = 4
            case kind:
                raise ValueError(f"a field of kind {kind}")
        if at + size > len(message):
            raise ValueError("it ends within a field")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    value = 0
    for shift, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, at + shift + 1
    raise ValueError("it ends within a number")
