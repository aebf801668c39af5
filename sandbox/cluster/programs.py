"""What exec runs in a container: `nc` and bash's `/dev/tcp`, with the words and exit codes of the real ones.

The texts are OpenBSD netcat's as Debian 12 has it, bash 5.2's and coreutils'; the contract tests hold them against a
real container.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What a TCP connection attempt comes to."""

    OPEN = "open"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    NO_ROUTE = "no-route"
    NO_NAME = "no-name"
    DNS_DOWN = "dns-down"


WORDS = {
    Outcome.REFUSED: "Connection refused",
    Outcome.NO_ROUTE: "No route to host",
    Outcome.NO_NAME: "Name or service not known",
    Outcome.DNS_DOWN: "Temporary failure in name resolution",
}
_NAME_ERRORS = (Outcome.NO_NAME, Outcome.DNS_DOWN)


@dataclass(frozen=True, slots=True)
class Dialled:
    """The outcome, and the address that the name stood for."""

    outcome: Outcome
    address: str


@dataclass(frozen=True, slots=True)
class Container:
    """What a program finds: the network as this pod sees it, and the programs that are missing here."""

    dial: Callable[[str, int], Dialled]
    missing: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended. `seconds` is how long it ran; `started` is False where the container has no such program."""

    code: int
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0
    started: bool = True


def run(argv: Sequence[str], container: Container) -> Result:
    """Runs a program with its arguments. Raises ValueError or IndexError for arguments that it does not understand."""
    program, *rest = argv
    if program == "env":
        while rest and "=" in rest[0]:
            rest = rest[1:]
        result = run(rest, container) if rest else Result(0)
        if not result.started:
            return Result(127, stderr=f"env: '{rest[0]}': No such file or directory\n")
        return result
    if program in container.missing or program not in _PROGRAMS:
        return Result(126, started=False)
    return _PROGRAMS[program](rest, container)


def _timeout(argv: Sequence[str], container: Container) -> Result:
    limit, *command = [argument for argument in argv if not argument.startswith("--")]
    seconds = float(limit.removesuffix("s"))
    result = run(command, container)
    if not result.started:
        message = f"timeout: failed to run command '{command[0]}': No such file or directory\n"
        return Result(127, stderr=message)
    return result if result.seconds < seconds else Result(124, seconds=seconds)


def _netcat(argv: Sequence[str], container: Container) -> Result:
    """`nc -zv -w SECONDS HOST PORT`."""
    *options, host, port = argv
    wait = float(options[options.index("-w") + 1]) if "-w" in options else 127.0
    dialled = container.dial(host, int(port))
    outcome, address = dialled.outcome, dialled.address
    if outcome is Outcome.OPEN:
        where = host if host == address else f"{host} ({address})"
        return Result(0, stderr=f"Connection to {where} {port} port [tcp/*] succeeded!\n")
    if outcome in _NAME_ERRORS:
        return Result(1, stderr=f'nc: getaddrinfo for host "{host}" port {port}: {WORDS[outcome]}\n')
    where = host if host == address else f"{host} ({address})"
    if outcome is Outcome.TIMEOUT:
        words = "timed out: Operation now in progress" if "-w" in options else "failed: Connection timed out"
        return Result(1, stderr=f"nc: connect to {where} port {port} (tcp) {words}\n", seconds=wait)
    seconds = 3.0 if outcome is Outcome.NO_ROUTE else 0.0  # how long ARP tries
    return Result(1, stderr=f"nc: connect to {where} port {port} (tcp) failed: {WORDS[outcome]}\n", seconds=seconds)


def _bash(argv: Sequence[str], container: Container) -> Result:
    """`bash -c SCRIPT [NAME] HOST PORT`, where the script opens /dev/tcp/HOST/PORT and nothing else."""
    if len(argv) < 4 or argv[0] != "-c" or "/dev/tcp/" not in argv[1]:
        return Result(0)
    name, host, port = argv[2], argv[-2], argv[-1]  # $0 is what comes after the script, be it a name or the host
    outcome = container.dial(host, int(port)).outcome
    if outcome is Outcome.OPEN:
        return Result(0)
    if outcome in _NAME_ERRORS:
        first, second = f"line 1: {host}: {WORDS[outcome]}", "Invalid argument"
    elif outcome is Outcome.TIMEOUT:
        first, second = "connect: Connection timed out", "Connection timed out"
    else:
        first, second = f"connect: {WORDS[outcome]}", WORDS[outcome]
    seconds = {Outcome.TIMEOUT: 127.0, Outcome.NO_ROUTE: 3.0}.get(outcome, 0.0)
    stderr = f"{name}: {first}\n{name}: line 1: /dev/tcp/{host}/{port}: {second}\n"
    return Result(1, stderr=stderr, seconds=seconds)


_PROGRAMS: dict[str, Callable[[Sequence[str], Container], Result]] = {
    "nc": _netcat,
    "timeout": _timeout,
    "bash": _bash,
    "echo": lambda argv, _container: Result(0, stdout=" ".join(argv) + "\n"),
    "true": lambda _argv, _container: Result(0),
    "false": lambda _argv, _container: Result(1),
}
