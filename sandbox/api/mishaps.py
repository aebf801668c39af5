"""What can go wrong with the API itself, as switches: from a server that hangs to an answer that is lost."""

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.api.calls import Target
from sandbox.cluster.errors import StatusError


@dataclass(slots=True, kw_only=True)
class Failure:
    """Fails calls of a verb on a resource (`pods`, `pods/exec`; `*` for any) with an HTTP status.

    `effective`: the call takes effect, and then its answer is lost. `times`: for so many calls; None for ever.
    """

    verb: str
    resource: str = "*"
    code: int = 500
    effective: bool = False
    times: int | None = None

    def hits(self, about: Target) -> bool:
        resource = f"{about.resource.plural}/{about.subresource}" if about.subresource else about.resource.plural
        if self.times == 0 or self.verb not in ("*", about.verb) or self.resource not in ("*", resource):
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Mishaps:
    """The faults of the API server. `changed` is called when it hangs, dies, or comes back."""

    def __init__(self, *, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._hanging = False
        self._killed = False
        self.failures: list[Failure] = []
        self.latency = 0.0
        """Seconds that every answer takes longer."""

    @property
    def hanging(self) -> bool:
        """Connections are accepted and never answered; streams go silent."""
        return self._hanging

    @property
    def killed(self) -> bool:
        """Nothing listens."""
        return self._killed

    @property
    def available(self) -> bool:
        return not self._hanging and not self._killed

    def set(self, *, hanging: bool | None = None, killed: bool | None = None) -> None:
        self._hanging = self._hanging if hanging is None else hanging
        self._killed = self._killed if killed is None else killed
        self._changed()

    def clear(self) -> None:
        self.failures.clear()
        self.latency = 0.0
        self.set(hanging=False, killed=False)

    def before(self, about: Target) -> None:
        """Raises the StatusError of a failure that comes before the effect."""
        self._fail(about, effective=False)

    def after(self, about: Target) -> None:
        """Raises the StatusError of an answer that is lost."""
        self._fail(about, effective=True)

    def _fail(self, about: Target, *, effective: bool) -> None:
        for failure in self.failures:
            if failure.effective == effective and failure.hits(about):
                raise StatusError(failure.code, "InternalError", "a mishap of the sandbox")
