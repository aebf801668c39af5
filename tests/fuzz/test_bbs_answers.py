"""Whatever answers a call in the place of a BBS: a result that is known, and never `answered` where it has an error."""

from random import Random

from hypothesis import event, given

from exporter.foundation.bbs_api import Head, judge
from exporter.foundation.view import CallResult
from tests.support.fuzzing import damaged, randoms

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 18\r\n\r\n"
BODY = b"\x12\x07cf-apps\x12\x08cf-tasks"
ERROR = b"\x0a\x06\x12\x04down"


@given(randoms)
def test_every_answer_has_a_result(random: Random) -> None:
    try:
        head = Head(damaged(random, HEAD))
    except ValueError:
        event("no head")
        return
    result, words = judge(head, damaged(random, BODY))
    event(result)
    assert words.isprintable()
    assert result in {CallResult.ANSWERED, CallResult.FAILED, CallResult.ERROR}


@given(randoms)
def test_an_error_is_never_an_answer_whatever_stands_around_it(random: Random) -> None:
    fields = [BODY, ERROR, b"\x18\x07", b"\x21" + random.randbytes(8), b"\x3a\x02" + random.randbytes(2)]
    random.shuffle(fields)

    assert judge(Head(HEAD), b"".join(fields)) == (CallResult.FAILED, "down")
