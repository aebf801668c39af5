"""The crash points: each is a request that the webhook with the lease sends, before or after it takes effect.

What a run does between two requests nobody sees, also Kubernetes. So the requests are all the moments that differ.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.audit import JOURNAL

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request of a webhook. `run` is the newest run, as this request writes it or as it was last written."""

    method: str
    target: str
    run: Json | None

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def watches(self) -> bool:
        return "watch" in parse_qs(urlsplit(self.target).query)

    @property
    def execs(self) -> bool:
        return self.path.endswith("/exec")

    @property
    def records(self) -> bool:
        """Whether it writes the journal."""
        return self.method == "PUT" and self.path.endswith(f"/configmaps/{JOURNAL}")

    @property
    def deletes(self) -> bool:
        return self.method == "DELETE" and "/pods/" in self.path


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A moment of a run. It is the `number`-th request that `matches`; `deleted`: pods that were deleted by then."""

    key: str
    text: str
    matches: Callable[[Call, Json], bool]
    deleted: int
    number: int = 1
    after: bool = True
    """Whether the request has taken effect, and only its answer is missing."""


def _begins(step: str) -> Callable[[Call, Json], bool]:
    return lambda call, run: call.records and run["step"] == step and run["steps"][-1]["result"] is None


def _asks(step: str) -> Callable[[Call, Json], bool]:
    return lambda call, run: call.execs and run["step"] == step


def _waits(call: Call, run: Json) -> bool:
    return call.watches and call.path.endswith("/pods") and run["step"] == "await-ready"


def _intends(call: Call, run: Json) -> bool:
    return call.records and any(pod["state"] == "intended" for pod in run["pods"])


def _deletes(call: Call, _run: Json) -> bool:
    return call.deletes


def _settles(call: Call, run: Json) -> bool:
    return call.records and any(pod["state"] not in {"listed", "intended"} for pod in run["pods"])


def _ends(call: Call, run: Json) -> bool:
    return call.records and run["outcome"] is not None


ASKED = 2
"""Both api pods are asked at each attempt."""
POINTS = (
    Point(key="check", text="`check-cloud-controller` begins", matches=_begins("check-cloud-controller"), deleted=0),
    Point(key="confirm", text="`confirm-unreachable` begins", matches=_begins("confirm-unreachable"), deleted=0),
    Point(
        key="confirm-wait",
        text="between two attempts of the proof",
        matches=_asks("confirm-unreachable"),
        number=ASKED,
        deleted=0,
    ),
    Point(key="evidence", text="`preserve-evidence` begins", matches=_begins("preserve-evidence"), deleted=0),
    Point(key="restart", text="`restart` begins", matches=_begins("restart"), deleted=0),
    Point(key="intent", text="between the first intent and its DELETE", matches=_intends, deleted=0),
    Point(key="delete", text="between the first DELETE and the journal", matches=_deletes, deleted=1),
    Point(key="between", text="between two pods", matches=_settles, deleted=1),
    Point(key="await", text="`await-ready` begins", matches=_begins("await-ready"), deleted=2),
    Point(key="await-wait", text="in the wait for the new pods", matches=_waits, deleted=2),
    Point(key="verify", text="`verify-reachable` begins", matches=_begins("verify-reachable"), deleted=2),
    Point(
        key="verify-wait",
        text="between two checks of the verification",
        matches=_asks("verify-reachable"),
        number=ASKED,
        deleted=2,
    ),
    Point(key="end", text="before the end is on record", matches=_ends, after=False, deleted=2),
)
