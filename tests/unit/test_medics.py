"""All medics of a config: each on its own, started and stopped as the config changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from exporter.config.model import Config, Foundation
from exporter.serving.per_foundation import LONGEST_DELAY, SETTLED, OnCrash
from tests.support.foundations import foundation
from tests.support.incident import FAST, Program, alert, ended, reaches
from tests.support.inprocess import TIMED_OUT, InProcessCluster, broken_foundation
from webhook.medic.medic import Medic
from webhook.medic.medics import Medics
from webhook.record.journal import Journal, Outcome, Step
from webhook.timings import DEFAULT

pytestmark = pytest.mark.looptime(noop_cycles=1)  # nothing here waits for anything but time


class Clinic:
    """`Medics` on foundations of the sandbox, one cluster each."""

    def __init__(self, *names: str, on_crash: OnCrash | None = None) -> None:
        self.programs: dict[str, list[Program]] = {}
        self.clusters: dict[str, InProcessCluster] = {}
        self.removed: list[str] = []
        self.medics = Medics(self.config(*names), build=self._build, on_crash=on_crash, on_remove=self.removed.append)

    def config(self, *names: str, **changes: Any) -> Config:
        return Config(foundations=tuple(self.settings(name, **changes) for name in names))

    @staticmethod
    def settings(name: str, **changes: Any) -> Foundation:
        return foundation(name=name, remediation=FAST | changes)

    def _build(self, settings: Foundation) -> Medic:
        cluster = self.clusters.setdefault(settings.name, broken_foundation())
        made = Program(cluster, settings, identity="a")
        self.programs.setdefault(settings.name, []).append(made)
        return made.medic

    def program(self, name: str) -> Program:
        return self.programs[name][-1]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.medics.run())
        try:
            await asyncio.sleep(1)
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled()


async def test_every_foundation_has_its_medic() -> None:
    clinic = Clinic("cf", "cf-2")
    assert clinic.medics.not_ready() == "the journals of cf, cf-2 were not read yet"
    async with clinic.open():
        assert clinic.medics.not_ready() is None
        assert [each.name for each in clinic.medics.foundations()] == ["cf", "cf-2"]
        assert set(clinic.medics.by_foundation) == set(clinic.medics.journals()) == {"cf", "cf-2"}
        for name in ("cf", "cf-2"):
            await alert(clinic.program(name))
        for name in ("cf", "cf-2"):
            assert (await ended(clinic.clusters[name])).outcome is Outcome.RECOVERED


async def test_one_dead_api_server_delays_no_other() -> None:
    clinic = Clinic("cf", "dead")
    clinic.program("dead").writer.hang()
    async with clinic.open():
        assert clinic.medics.not_ready() == "the journals of dead were not read yet"
        await alert(clinic.program("cf"))
        assert (await ended(clinic.clusters["cf"])).outcome is Outcome.RECOVERED
        assert clinic.medics.not_ready() is None, "it was tried"
        assert set(clinic.medics.journals()) == {"cf"}


async def test_a_journal_that_cannot_be_read_is_tried_and_then_not_shown() -> None:
    clinic = Clinic("cf")
    async with clinic.open():
        clinic.program("cf").writer.fail("get configmaps", TIMED_OUT, times=-1)
        await asyncio.sleep(DEFAULT.journal_shown - DEFAULT.poll - 1)
        assert set(clinic.medics.journals()) == {"cf"}
        await asyncio.sleep(DEFAULT.poll + 2)
        assert clinic.medics.journals() == {}
        assert clinic.medics.not_ready() is None


async def test_a_new_config_keeps_what_is_the_same() -> None:
    clinic = Clinic("same", "gone")
    async with clinic.open():
        same, gone = clinic.program("same"), clinic.program("gone")
        before = same.writer.calls["get configmaps"]
        await asyncio.sleep(60)
        a_minute = same.writer.calls["get configmaps"] - before
        clinic.medics.apply(clinic.config("new", "same"))
        await asyncio.sleep(1)

        assert clinic.program("same") is same
        assert [each.name for each in clinic.medics.foundations()] == ["new", "same"]
        assert (same.metric("diego_webhook_leader"), gone.metric("diego_webhook_leader")) == (1, 0)
        assert clinic.program("new").metric("diego_webhook_leader") == 1
        before = same.writer.calls["get configmaps"]
        await asyncio.sleep(60)
        assert same.writer.calls["get configmaps"] - before <= a_minute + 1, "it works twice"
        assert clinic.clusters["gone"].leases["diego-medic-diego-api"].spec.holder_identity == ""


async def test_a_changed_foundation_continues_its_run() -> None:
    """The new medic has the same identity: it takes the lease at once, and continues the run where it is."""
    clinic = Clinic("cf")
    async with clinic.open():
        await alert(clinic.program("cf"))
        await reaches(clinic.clusters["cf"], Step.CONFIRM_UNREACHABLE)
        clinic.medics.apply(clinic.config("cf", cooldown="10m"))
        run = await ended(clinic.clusters["cf"])

        assert len(clinic.programs["cf"]) == 2
        assert clinic.program("cf").metric("diego_webhook_leader") == 1
    assert run.outcome is Outcome.RECOVERED
    assert len(clinic.clusters["cf"].deletes) == 2


async def test_observe_by_a_reload_in_mid_proof_deletes_nothing() -> None:
    clinic = Clinic("cf")
    async with clinic.open():
        await alert(clinic.program("cf"))
        await reaches(clinic.clusters["cf"], Step.CONFIRM_UNREACHABLE)
        clinic.medics.apply(clinic.config("cf", mode="observe"))
        run = await ended(clinic.clusters["cf"])

    assert (run.mode, run.outcome, clinic.clusters["cf"].deletes) == ("auto", Outcome.OBSERVED, [])


@pytest.mark.parametrize(
    ("change", "told"),
    [({"namespace": "cf-2"}, True), ({"kubeconfig": "other.yaml"}, True), ({"staleness": 55.0}, False)],
)
async def test_a_reload_that_leaves_a_journal_behind_says_what_is_in_it(
    change: dict[str, Any], told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    clinic = Clinic("cf")
    async with clinic.open():
        await alert(clinic.program("cf"))
        await reaches(clinic.clusters["cf"], Step.CONFIRM_UNREACHABLE)
        clinic.medics.apply(Config(foundations=(msgspec.structs.replace(clinic.settings("cf"), **change),)))
        run = clinic.clusters["cf"].journal().open_run
    told_in_log = [each for each in caplog.records if "another place" in each.getMessage()]
    assert len(told_in_log) == told
    if told:
        assert run is not None
        fields = vars(told_in_log[0])
        assert (fields["old"], fields["open_run"], fields["paused"]) == ("cf/diego-medic-diego-api", run.id, False)


async def test_a_config_may_change_before_the_work_starts() -> None:
    clinic = Clinic("cf")
    clinic.medics.apply(clinic.config("cf-2"))
    async with clinic.open():
        assert set(clinic.medics.journals()) == {"cf-2"}


async def test_a_medic_that_crashes_ends_no_other_and_is_reported_while_it_does() -> None:
    crashes: list[str] = []
    clinic = Clinic("cf", "broken", on_crash=lambda name, _error: crashes.append(name))
    broken = clinic.program("broken")
    healthy = broken.store.refresh

    async def crash() -> Journal:
        raise UnicodeDecodeError("utf-8", b"", 0, 1, "invalid start byte")

    broken.store.refresh = crash  # type: ignore[method-assign]
    async with clinic.open():
        assert clinic.medics.unhealthy() is None
        await alert(clinic.program("cf"))
        assert (await ended(clinic.clusters["cf"])).outcome is Outcome.RECOVERED
        await asyncio.sleep(2 * SETTLED)
        assert clinic.medics.unhealthy() == "the medics of broken keep crashing"
        assert set(crashes) == {"broken"}

        broken.store.refresh = healthy  # type: ignore[method-assign]
        await asyncio.sleep(LONGEST_DELAY)
        await alert(broken)
        assert (await ended(clinic.clusters["broken"])).outcome is Outcome.RECOVERED
        await asyncio.sleep(SETTLED)
        assert clinic.medics.unhealthy() is None


async def test_only_a_foundation_that_left_the_config_is_removed() -> None:
    clinic = Clinic("cf", "cf-2")
    async with clinic.open():
        clinic.medics.apply(clinic.config("cf", "cf-3", cooldown="10m"))

    assert clinic.removed == ["cf-2"]
