"""What fuzz tests have in common: a loop in virtual time for each example, and JSON that is nearly right.

Hypothesis draws a seed and no more: to draw each choice costs more than most of what is tested. An example is small as
it is: a few places of a value that is right.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st

from sandbox.simulation.loop import SimulatedLoop

T = TypeVar("T")

ODD_TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\n",
        "\x1b[2J",
        "\u2028",
        "\x85",
        "ü",
        "\U0001f40d",
        "null",
        "true",
        "0",
        "-1",
        "1e999",
        "../../x",
    ),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z"),
    *("2026-01-31T12:00:00", "1969-12-31T23:59:60Z", "x" * 300, "diego-api", "cf", "firing", "resolved", "4", "Status"),
    *(
        "1 day",
        "diego-api-" + "9" * 5_000,
        "cf\n",
        "9999-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00Z",
        "-999999-01-01",
    ),
)
ODD_NUMBERS = (0, 1, -1, 2, 2**31 - 1, 2**31, 2**53, 2**63, -(2**63), 2**64, 10**40, 1.5, -0.0, 1e300)
_OTHER = ("null", "true", "false", "[]", "{}", "[null]", "[[]]", '{"": null}', "[{}]")
_ODD = tuple(json.dumps(each) for each in (*ODD_TEXTS, *ODD_NUMBERS)) + _OTHER * 3
_SHARDS = (
    b"",
    b"\xff",
    b"\xed\xa0\x80",
    b"\0",
    b'"',
    b"{",
    b"}",
    b"[" * 3_000,
    b",",
    b"\\ud800",
    b"9" * 400,
    b"\n",
    b":",
)

randoms = st.randoms(use_true_random=True)
"""A generator with a drawn seed, which a failure prints."""


def play(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` on a loop of its own, in virtual time, and cancels what it left running."""
    loop = SimulatedLoop(Random(0))

    async def whole() -> T:
        try:
            return await main
        finally:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)

    result = loop.run_until_complete(whole())
    assert not loop.failures, loop.failures
    return result


def odd(random: Random) -> Any:
    """What nobody expects at the place."""
    return json.loads(random.choice(_ODD))


def mutated(random: Random, value: Any, *, most: int = 3) -> Any:
    """A JSON value with up to `most` places that are something else, gone, doubled, wrapped, or under another name."""
    value = json.loads(json.dumps(value))
    for _ in range(random.randint(0, most)):
        holder, key = _place(random, value)
        if holder is None:
            return odd(random)
        _strike(random, holder, key)
    return value


def _place(random: Random, value: Any) -> tuple[Any, Any]:
    """Somewhere in it: the container and the key. None where it is none."""
    holder: Any = None
    key: Any = None
    while isinstance(value, dict | list) and value:
        holder = value
        key = random.choice(list(value)) if isinstance(value, dict) else random.randrange(len(value))
        value = value[key]
        if random.random() < 0.2:
            break
    return holder, key


def _strike(random: Random, holder: Any, key: Any) -> None:
    how = random.choice(("other", "other", "gone", "doubled", "renamed", "wrapped"))
    if how == "gone":
        del holder[key]
    elif how == "doubled" and isinstance(holder, list):
        holder.append(holder[key])
    elif how == "renamed" and isinstance(holder, dict):
        holder[random.choice(ODD_TEXTS)] = holder.pop(key)
    elif how == "wrapped":
        holder[key] = random.choice(([holder[key]], {"x": holder[key]}, str(holder[key])))
    else:
        holder[key] = odd(random)


def damaged(random: Random, data: bytes) -> bytes:
    """Bytes with up to three places cut out, overwritten or filled in."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 3)):
        start = random.randint(0, len(changed))
        end = min(len(changed), start + random.choice((0, 0, 1, 4, 10_000)))
        changed[start:end] = random.choice(_SHARDS)
    return bytes(changed)


def body(random: Random, value: Callable[[Random], Any], *, most: int = 3) -> bytes:
    """The bytes of a JSON value: as it is or nearly so, damaged, or anything."""
    how = random.random()
    if how < 0.02:
        return random.randbytes(random.randint(0, 40))
    data = json.dumps(mutated(random, value(random), most=most)).encode()
    return damaged(random, data) if how < 0.15 else data
