"""An API server that answers as a fuzz test wants: each answer is made when it is asked for."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from random import Random
from typing import Any

from exporter.kubernetes.api import ApiUnreachableError
from exporter.kubernetes.transport import Response
from tests.support.fuzzing import body, damaged, mutated
from webhook.transport import Method, UpgradeRefusedError

STATUSES = (
    200,
    200,
    200,
    200,
    200,
    200,
    201,
    202,
    204,
    301,
    400,
    401,
    403,
    404,
    404,
    409,
    410,
    422,
    429,
    500,
    502,
    503,
    504,
    0,
    999,
)
DATES = (
    "",
    "Sat, 31 Jan 2026 12:00:00 GMT",
    "Sat, 31 Jan 99999 12:00:00 GMT",
    "yesterday",
    "\xff",
    "0",
    "Mon, 1 Jan 0001 00:00:00 -0000",
    "Sat, 31 Jan 2026 12:00:00 +99999999999",
)


class FuzzedTransport:
    """`WriteTransport` whose answers are nearly those that `right` gives for (method, path), and often are not."""

    def __init__(self, random: Random, right: Callable[[str, str], Any]) -> None:
        self._random = random
        self._right = right
        self.answers: list[Response] = []
        self.frames: list[bytes] = []

    async def get(self, path: str, query: Mapping[str, str]) -> Response:
        return self._answer("GET", path)

    async def stream(self, path: str, query: Mapping[str, str]) -> "FuzzedStream":
        self._perhaps_unreachable()
        random = self._random
        return FuzzedStream(
            random.choice(STATUSES),
            [event(random, self._right("WATCH", path)) for _ in range(random.randint(0, 5))],
            random,
        )

    async def send(self, method: Method, path: str, body: object, *, retry_unauthorized: bool = True) -> Response:
        return self._answer(method, path)

    async def exec(self, path: str, query: list[tuple[str, str]]) -> AsyncGenerator[bytes, None]:
        self._perhaps_unreachable()
        random = self._random
        if random.random() < 0.1:
            raise UpgradeRefusedError(random.choice(STATUSES))
        usual = [b"\x02" + random.choice(LINES), ended(random)]
        for each in usual if random.random() < 0.5 else [frame(random) for _ in range(random.randint(0, 5))]:
            self.frames.append(each)
            yield each
        self._perhaps_unreachable()

    def _answer(self, method: str, path: str) -> Response:
        self._perhaps_unreachable()
        random = self._random
        status = random.choice(STATUSES)
        right = self._right(method, path) if 200 <= status < 300 else status_of(random, status)
        self.answers.append(Response(status, body(random, lambda _random: right), random.choice(DATES)))
        return self.answers[-1]

    def _perhaps_unreachable(self) -> None:
        how = self._random.random()
        if how < 0.03:
            raise ApiUnreachableError("Connection reset by peer")
        if how < 0.06:
            raise TimeoutError


class FuzzedStream:
    """`Stream` of lines, cut off or not."""

    def __init__(self, status: int, lines: list[bytes], random: Random) -> None:
        self.status = status
        self.date = random.choice(DATES)
        self.closed = False
        self._lines = lines
        self._cut = random.random() < 0.3

    async def line(self) -> bytes:
        if not self._lines and self._cut:
            raise ApiUnreachableError("cut off")
        return self._lines.pop(0) if self._lines else b""

    async def read(self) -> bytes:
        return b"".join(self._lines)

    def close(self) -> None:
        self.closed = True


def status_of(random: Random, code: int) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": random.choice(("Failure", "Success")),
        "message": 'pods "diego-api-0" not found',
        "reason": random.choice(("NotFound", "Conflict", "Expired", "Forbidden", "")),
        "code": code,
    }


def event(random: Random, item: Any) -> bytes:
    """A line of a watch."""
    kind = random.choice(("ADDED", "MODIFIED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "", "UNKNOWN"))
    if kind == "ERROR":
        item = status_of(random, random.choice((410, 500, 0)))
    if kind == "BOOKMARK":
        item = {"metadata": {"resourceVersion": "12"}}
    how = random.random()
    if how < 0.1:
        return random.choice((b"\n", b"garbage\n", b"\xff\xfe\n", b"[" * 3_000 + b"\n", b"{}\n", b"null\n"))
    line = {"type": kind, "object": item}
    data = json.dumps(mutated(random, line) if how < 0.6 else line).encode()
    return (damaged(random, data).replace(b"\n", b"") if how > 0.9 else data) + b"\n"


def frame(random: Random) -> bytes:
    """A frame of an exec: nearly what `nc` says, and how the exec ended."""
    how = random.random()
    if how < 0.15:
        return random.choice(
            (b"", b"\x03", b"\x02", b"\x04x", b"\xff" * 9, b"\x02" + b"A" * 100_000, b"\x03{", b"\x03null")
        )
    return b"\x02" + random.choice(LINES) if how < 0.55 else ended(random)


def ended(random: Random) -> bytes:
    """The Status that ends an exec, or nearly so."""
    code = random.choice(("1", "1", "1", "0", "127", "-1", "\u0663", "1" * 5_000, "x"))
    causes = [{"reason": random.choice(("ExitCode", "ExitCode", "ExitCode", "Other")), "message": code}]
    status = random.choice(("Success", "Failure", "Failure", "Failure"))
    right = {"status": status, "reason": "NonZeroExitCode", "details": {"causes": causes}}
    return b"\x03" + json.dumps(mutated(random, right, most=2) if random.random() < 0.3 else right).encode()


LINES = (
    b"nc: connect to diego-api port 8889 (tcp) failed: Connection refused\n",
    b"nc: connect to diego-api port 8889 (tcp) failed: Connection timed out\n",
    b"Connection to diego-api 8889 port [tcp/*] succeeded!\n",
    b"nc: getaddrinfo: Temporary failure in name resolution\n",
    b'nc: getaddrinfo for host "diego-api" port 8889: Name or service not known\n',
    b"env: can't execute 'nc': No such file or directory\n",
    b"Connection ref\xffused\n",
    b"\n",
)
