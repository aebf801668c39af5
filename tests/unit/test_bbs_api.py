"""The BBS's API as bytes: what is asked, and what an answer says."""

import pytest

from exporter.foundation.bbs_api import DOMAINS, Head, error_in, judge, request
from exporter.foundation.view import CallResult

PROTOBUF = "Content-Type: application/x-protobuf"


def head(status: str = "HTTP/1.1 200 OK", *headers: str) -> Head:
    return Head("\r\n".join((status, *headers, "", "")).encode())


def test_the_request() -> None:
    assert request(DOMAINS, host="[fd00::1]:8889") == (
        b"POST /v1/domains/list HTTP/1.1\r\n"
        b"Host: [fd00::1]:8889\r\n"
        b"Content-Type: application/x-protobuf\r\n"
        b"Content-Length: 0\r\n"
        b"Connection: close\r\n"
        b"User-Agent: diego-medic\r\n"
        b"\r\n"
    )


def test_a_head() -> None:
    found = head("HTTP/1.0 200 OK", "content-TYPE:  Application/X-Protobuf; charset=utf-8 ", "CONTENT-LENGTH: 12")

    assert (found.status, found.is_protobuf, found.length) == (200, True, 12)
    assert (head().is_protobuf, head().length) == (False, None)
    assert head("HTTP/1.1 200 OK", "Content-Length: -1").length is None


@pytest.mark.parametrize("text", ["", "HTTP/2 200", "HTTP/1.1 2000 OK", "HTTP/1.1 OK", "ICY 200 OK"])
def test_what_is_no_head(text: str) -> None:
    with pytest.raises(ValueError, match="not HTTP"):
        head(text)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x12\x07cf-apps\x12\x08cf-tasks",
        b"\x18\x96\x01\x21\0\0\0\0\0\0\0\0\x2d\0\0\0\0",
        b"\x12\x00",
        b"\x08\x01",
    ],
    ids=["no domains", "two domains", "fields of later versions", "an empty name", "not an error by its kind"],
)
def test_answers_without_an_error(body: bytes) -> None:
    assert error_in(body) is None
    assert judge(head("HTTP/1.1 200 OK", PROTOBUF), body) == (CallResult.ANSWERED, "")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\x0a\x08\x08\x1f\x12\x04slow", "slow"),
        (b"\x12\x02cf\x0a\x06\x12\x04down", "down"),
        (b"\x0a\x00", "an error without a message"),
        (b"\x0a\x02\x08\x1c", "an error without a message"),
        (b"\x0a\x05\x12\x03a\nb", "a\\nb"),
        (b"\x0a\x04\x12\x02\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_an_error_in_an_answer(body: bytes, words: str) -> None:
    """Where its database fails, a BBS answers 200, with an error inside."""
    assert error_in(body) == words
    assert judge(head("HTTP/1.1 200 OK", PROTOBUF), body) == (CallResult.FAILED, words)


@pytest.mark.parametrize(
    "body", [b"\x0a\x05\x12", b"\x12\xff", b"\x80" * 11, b"\x0b", b"\x2d\0", b"\x0a\x02\x12\x09", b"<html>"]
)
def test_what_is_no_answer_proves_nothing(body: bytes) -> None:
    result, words = judge(head("HTTP/1.1 200 OK", PROTOBUF), body)

    assert result is CallResult.ERROR
    assert words.startswith("not a DomainsResponse: ")


@pytest.mark.parametrize(
    ("status", "expected"),
    [(500, CallResult.FAILED), (503, CallResult.FAILED), (404, CallResult.ERROR), (204, CallResult.ERROR)],
)
def test_another_status_says_that_it_fails_or_that_it_is_no_bbs(status: int, expected: CallResult) -> None:
    assert judge(head(f"HTTP/1.1 {status} Words", PROTOBUF), b"")[0] is expected
