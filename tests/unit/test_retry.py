"""Repeating a call to the API server: what is final, when it gives up, and how long it waits."""

import asyncio
from collections.abc import Sequence

import pytest

from exporter.kubernetes.api import ApiError, ApiUnreachableError, ConflictError, KubernetesError, NotFoundError
from webhook.retry import is_final, retry
from webhook.timings import DEFAULT

pytestmark = pytest.mark.looptime

TIMED_OUT = ApiUnreachableError("timed out")
FORBIDDEN = ApiError(403, "Forbidden", "")


class Call:
    """Fails with these errors, one after the other, then answers. `moments` are the loop's times of the calls."""

    def __init__(self, *errors: KubernetesError, takes: float = 0) -> None:
        self.errors: list[KubernetesError] = list(errors)
        self.takes = takes
        self.moments: list[float] = []

    async def __call__(self) -> str:
        self.moments.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (ApiError(400, "", ""), True),
        (ApiError(401, "", ""), True),
        (FORBIDDEN, True),
        (NotFoundError(404, "", ""), True),
        (ApiError(422, "", ""), True),
        (ConflictError(409, "", ""), False),
        (ApiError(429, "", ""), False),
        (ApiError(500, "", ""), False),
        (ApiError(503, "", ""), False),
        (TIMED_OUT, False),
    ],
)
def test_what_the_api_server_refuses_for_good_is_final(error: KubernetesError, *, final: bool) -> None:
    assert is_final(error) is final


async def test_the_wait_is_doubled_up_to_its_limit() -> None:
    call = Call(*[TIMED_OUT] * 6)

    assert await retry(call, timings=DEFAULT, deadline=None) == "answer"

    assert call.moments == [0, 0.5, 1.5, 3.5, 7.5, 12.5, 17.5]


@pytest.mark.parametrize("error", [FORBIDDEN, NotFoundError(404, "", "")])
async def test_a_final_answer_is_not_asked_for_twice(error: KubernetesError) -> None:
    call = Call(TIMED_OUT, error, TIMED_OUT)

    with pytest.raises(type(error)):
        await retry(call, timings=DEFAULT, deadline=None)

    assert len(call.moments) == 2


async def test_the_caller_says_what_is_final_and_hears_of_each_failure() -> None:
    heard: list[KubernetesError] = []
    call = Call(NotFoundError(404, "", ""), TIMED_OUT)

    answer = await retry(call, timings=DEFAULT, deadline=None, final=lambda _error: False, failed=heard.append)

    assert answer == "answer"
    assert list(map(type, heard)) == [NotFoundError, ApiUnreachableError]


@pytest.mark.parametrize(("errors", "calls"), [([TIMED_OUT] * 9, 4), ([TIMED_OUT] * 3, 4)])
async def test_it_gives_up_where_the_next_call_would_come_after_the_deadline(
    errors: Sequence[KubernetesError], calls: int
) -> None:
    call = Call(*errors)
    working = retry(call, timings=DEFAULT, deadline=7)

    if len(errors) < calls:
        assert await working == "answer"
    else:
        with pytest.raises(ApiUnreachableError):
            await working

    assert len(call.moments) == calls
    assert asyncio.get_running_loop().time() == 3.5


async def test_a_call_that_hangs_is_ended_at_the_deadline() -> None:
    with pytest.raises(TimeoutError):
        await retry(Call(takes=3600), timings=DEFAULT, deadline=7)

    assert asyncio.get_running_loop().time() == 7
