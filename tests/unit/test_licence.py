"""The licence to delete: each fact that ends it does so alone, beside the same licence in which none applies."""

from itertools import product
from typing import Any

import pytest

from exporter.clock import Instant
from exporter.config.check import validated
from exporter.config.remediation import Confirm
from exporter.foundation.view import Probe, ProbeResult
from webhook.record.reasons import RunReason
from webhook.runbook.cloud_controller import Attempt, PodAnswer, Reachability
from webhook.runbook.licence import Expiry, Licence, Proof, permits_deletion
from webhook.timings import DEFAULT

CONFIRM = validated(Confirm, {"attempts": 4, "interval": "10s"})
PROOF_AGE = 4 * 10 + DEFAULT.proof_margin
WALL, BOOT = 1_000_000.0, 5_000.0
ISSUED = Instant(wall=WALL, boot=BOOT)


def attempt(*reachable: bool | None) -> Attempt:
    return Attempt(
        tuple(
            PodAnswer(
                pod=f"api-{number}",
                probe=Probe(ProbeResult.REFUSED, at=WALL),
                reachable=each,
                reason=RunReason.EXEC_FAILED if each is None else None,
            )
            for number, each in enumerate(reachable)
        )
    )


UNREACHABLE = attempt(False, False)


def instant(seconds: float = 0, *, wall: float = 0, boot: float = 0) -> Instant:
    """So many seconds after the licence was issued; `wall` and `boot` set one of the clocks apart."""
    return Instant(wall=WALL + seconds + wall, boot=BOOT + seconds + boot)


def proof(at: Instant = ISSUED) -> Proof:
    return Proof(attempts=(UNREACHABLE,) * 4, at=at)


def licence(**changes: Any) -> Licence:
    fields: dict[str, Any] = {
        "proof": proof(),
        "viewed": ISSUED,
        "issued": ISSUED,
        "run_mode": "auto",
        "config_mode": "auto",
        "approved": False,
        "lease": 10.0,
        "epoch": 3,
        "journal_epoch": 3,
        "confirm": CONFIRM,
        "timings": DEFAULT,
    }
    return Licence(**fields | changes)


@pytest.mark.parametrize("seconds", [0, 0.5, DEFAULT.lease_trusted - DEFAULT.delete])
def test_where_nothing_ends_it_a_licence_permits_the_delete(seconds: float) -> None:
    assert licence().expired(instant(seconds)) is None


# ---- each alone


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"proof": proof(instant(-PROOF_AGE - 0.1))}, Expiry.PROOF),
        ({"viewed": instant(-DEFAULT.view_age - 0.1)}, Expiry.VIEW),
        ({"lease": DEFAULT.delete - 0.1}, Expiry.LEASE),
        ({"lease": 0.0}, Expiry.LEASE),
        ({"run_mode": "observe"}, Expiry.MODE),
        ({"config_mode": "observe"}, Expiry.MODE),
        ({"config_mode": None}, Expiry.MODE),
        ({"run_mode": "approve"}, Expiry.MODE),
        ({"config_mode": "approve"}, Expiry.MODE),
        ({"journal_epoch": 4}, Expiry.EPOCH),
    ],
)
def test_each_fact_ends_a_licence_by_itself(changes: dict[str, Any], expected: Expiry) -> None:
    assert licence(**changes).expired(instant()) is expected


@pytest.mark.parametrize(
    "changes",
    [
        {"proof": proof(instant(-PROOF_AGE))},
        {"viewed": instant(-DEFAULT.view_age)},
        {"lease": DEFAULT.delete},
        {"approved": True},
        {"run_mode": "approve", "config_mode": "approve", "approved": True},
        {"journal_epoch": 2},
    ],
)
def test_at_its_very_limit_each_still_permits_the_delete(changes: dict[str, Any]) -> None:
    """A journal of an earlier epoch is one that this holder has not written to yet."""
    assert licence(**changes).expired(instant()) is None


def test_every_way_to_expire_is_reached_here() -> None:
    each: list[tuple[dict[str, Any], Instant]] = [
        ({"proof": proof(instant(-PROOF_AGE - 1))}, instant()),
        ({"viewed": instant(-DEFAULT.view_age - 1)}, instant()),
        ({"lease": 0.0}, instant()),
        ({}, instant(wall=60)),
        ({"run_mode": "observe"}, instant()),
        ({"journal_epoch": 4}, instant()),
    ]

    found = {licence(**changes).expired(now) for changes, now in each}

    assert found == set(Expiry)


# ---- time passes, and clocks are set


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (6, None),
        (6.1, Expiry.LEASE),
        (10.1, Expiry.VIEW),
        (50.1, Expiry.PROOF),
        (8 * 3600, Expiry.PROOF),
    ],
)
def test_time_alone_ends_every_licence(seconds: float, expected: Expiry | None) -> None:
    """Whatever the process did meanwhile: stopped by a signal, throttled, suspended, waiting for the API server.

    In suspend both clocks run on, which is why the boot time is one of them.
    """
    assert licence().expired(instant(seconds)) is expected


@pytest.mark.parametrize("jump", [-86_400, -3600, -2.1, 2.1, 3600, 86_400])
def test_a_wall_clock_that_was_set_ends_a_licence(jump: float) -> None:
    assert licence().expired(instant(1, wall=jump)) is Expiry.CLOCK


@pytest.mark.parametrize("jump", [-2, -0.5, 0.5, 2])
def test_a_wall_clock_that_is_slewed_does_not(jump: float) -> None:
    assert licence().expired(instant(1, wall=jump)) is None


def test_a_clock_that_was_set_between_the_proof_and_the_licence_ends_it() -> None:
    """By the wall clock the proof is as fresh as can be; by the boot time an hour has passed, and the other way."""
    for at in (instant(boot=-3600), instant(wall=-3600), instant(wall=3600)):
        assert licence(proof=proof(at)).expired(instant()) is Expiry.CLOCK
    assert licence(proof=proof(instant(-30))).expired(instant()) is None


def test_a_suspend_that_the_wall_clock_hides_ends_a_licence() -> None:
    """Suspended for an hour, and then the wall clock was set to where it was: only the boot time tells."""
    assert licence().expired(instant(1, boot=3600)) is Expiry.CLOCK
    assert licence().expired(instant(1)) is None


@pytest.mark.parametrize("seconds", [-0.1, -60])
def test_a_proof_of_the_future_is_not_fresh(seconds: float) -> None:
    assert not proof().fresh(instant(seconds), confirm=CONFIRM, timings=DEFAULT)
    assert proof().fresh(instant(-seconds / 10), confirm=CONFIRM, timings=DEFAULT)


def test_the_window_of_a_proof_is_that_of_its_confirmation_and_a_margin() -> None:
    short = validated(Confirm, {"attempts": 2, "interval": "1s"})

    assert proof().fresh(instant(2 + DEFAULT.proof_margin), confirm=short, timings=DEFAULT)
    assert not proof().fresh(instant(2.1 + DEFAULT.proof_margin), confirm=short, timings=DEFAULT)


# ---- the proof


@pytest.mark.parametrize(
    "attempts",
    [
        (),
        (attempt(),),
        (attempt(True, True),),
        (attempt(False, None),),
        (attempt(False, True),),
        (UNREACHABLE, attempt(True), UNREACHABLE),
        (UNREACHABLE, UNREACHABLE, UNREACHABLE, attempt(None)),
    ],
)
def test_one_attempt_that_is_not_unreachable_makes_a_proof_impossible(attempts: tuple[Attempt, ...]) -> None:
    with pytest.raises(ValueError, match="does not prove"):
        Proof(attempts=attempts, at=ISSUED)


def test_attempts_that_are_all_unreachable_are_a_proof() -> None:
    assert {each.reachability for each in proof().attempts} == {Reachability.UNREACHABLE}
    assert proof().extended(UNREACHABLE, instant(5)).at == instant(5)
    assert len(proof().extended(UNREACHABLE, instant(5)).attempts) == 5


@pytest.mark.parametrize("next_one", [attempt(True, True), attempt(False, None), attempt()])
def test_a_proof_is_not_extended_by_what_does_not_prove(next_one: Attempt) -> None:
    with pytest.raises(ValueError, match="does not prove"):
        proof().extended(next_one, instant(5))


# ---- the modes

MODES = ("auto", "approve", "observe", "", "AUTO", "None", "automatic")


@pytest.mark.parametrize("approved", [False, True])
@pytest.mark.parametrize(("run_mode", "config_mode"), list(product(MODES, (*MODES, None))))
def test_only_modes_that_permit_it_permit_a_delete(run_mode: str, config_mode: str | None, *, approved: bool) -> None:
    """The truth table: both must permit it, and a mode that is missing or unknown permits nothing."""
    permitting = {("auto", "auto")}
    if approved:
        permitting |= {("auto", "approve"), ("approve", "auto"), ("approve", "approve")}

    assert permits_deletion(run_mode, config_mode, approved=approved) is ((run_mode, config_mode) in permitting)
