"""The token of a form, and where a request says that it comes from: the control beside every forgery."""

import pytest

from tests.support.statuses import NOW
from webhook.http.forms import LIFETIME, FormTokens, from_own_page


def tokens(secret: bytes = b"secret", *, now: float = NOW) -> FormTokens:
    return FormTokens(lambda: secret, lambda: now)


TOKEN = tokens().make("ann", "pause cf")


def test_a_token_fits_its_person_and_action_also_on_another_replica() -> None:
    assert tokens().fits(TOKEN, "ann", "pause cf")
    assert tokens(now=NOW + LIFETIME - 1).fits(TOKEN, "ann", "pause cf")


@pytest.mark.parametrize(
    "token",
    ["", ".", "x", TOKEN[:-1], f"{TOKEN}0", TOKEN.replace(".", ""), f"9{TOKEN}", "é.é", "\udc80", f"nan.{TOKEN[-64:]}"],
)
def test_another_text_does_not(token: str) -> None:
    assert not tokens().fits(token, "ann", "pause cf")


def test_nor_for_another_person_action_or_server_nor_later() -> None:
    assert not tokens().fits(TOKEN, "bob", "pause cf")
    assert not tokens().fits(TOKEN, "ann", "pause other")
    assert not tokens().fits(TOKEN, "ann", "resume cf")
    assert not tokens(b"other").fits(TOKEN, "ann", "pause cf")
    assert not tokens(now=NOW + LIFETIME + 1).fits(TOKEN, "ann", "pause cf")
    assert not tokens(now=NOW - LIFETIME).fits(TOKEN, "ann", "pause cf")
    assert not tokens().fits(tokens().make("annpause", " cf"), "ann", "pause cf")


HOST = {"Host": "webhook.example:10890"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://webhook.example:10890"},
        {"Origin": "https://webhook.example:10890"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://outside.example"},
    ],
)
def test_our_own_page_and_what_is_no_browser(headers: dict[str, str]) -> None:
    """The last one is behind a proxy that changes the Host."""
    assert from_own_page(HOST | headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://webhook.example:10890"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://webhook.example"},
        {"Origin": "http://webhook.example:10891"},
        {"Origin": "null"},
        {"Origin": ""},
    ],
)
def test_another_site(headers: dict[str, str]) -> None:
    assert not from_own_page(HOST | headers)
