"""Two webhooks of one Deployment, each behind its own gate. One that was killed is started again, as a kubelet does."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import yaml

from tests.cluster.conftest import Cf
from tests.matrix.gate import Ambush, Gate
from tests.support.programs import Json, Webhook

AGAIN = 3.0
"""Seconds after which a killed process is started again."""


class Replica:
    """One webhook: the process of now, and what those before it logged."""

    def __init__(self, gate: Gate, webhook: Webhook) -> None:
        self.gate = gate
        self.webhook = webhook
        self.failures: list[str] = []
        self._life = 0
        self._again: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._life += 1
        self.gate.agent = f"{self.gate.name}{self._life}"
        await self.webhook.start(ready=False)

    def kill(self) -> None:
        """SIGKILL; the next process follows."""
        self.webhook.signal(signal.SIGKILL)
        self._again = asyncio.create_task(self._start_again())

    async def end(self) -> None:
        """SIGTERM, on which it must exit with 0."""
        if self._again is not None:
            await self._again
        code = await self.webhook.end()
        if code:
            self.failures.append(f"{self.gate.agent} exited with {code}")
        if 'exception="' in self.webhook.text:
            self.failures.append(f"{self.gate.agent} logged a traceback")

    async def abandon(self) -> None:
        """Leaves nothing behind, whatever state it is in."""
        if self._again is not None:
            self._again.cancel()
            await asyncio.wait([self._again])
        if self.webhook.alive:
            self.webhook.signal(signal.SIGCONT)
            await self.webhook.end(signal.SIGKILL)

    async def _start_again(self) -> None:
        await self.webhook.wait()
        await asyncio.sleep(AGAIN)
        await self.start()


@asynccontextmanager
async def replicas(cf: Cf, ambush: Ambush, remediation: Json) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two webhooks with the least rights, not yet started; whatever is left of them at the end is killed."""
    user = await cf.user("diego-webhook")
    async with AsyncExitStack() as stack:
        made = []
        for name in ("a", "b"):
            gate = Gate(name, cf.url, ambush)
            await stack.enter_async_context(gate.open())
            webhook = Webhook(cf.config(_through(user, gate), **remediation), fast=True)
            webhook.headers = {"Authorization": f"Bearer {cf.bearer}"}
            made.append(Replica(gate, webhook))
            stack.push_async_callback(made[-1].abandon)
        yield made[0], made[1]


def _through(user: Path, gate: Gate) -> Path:
    document = yaml.safe_load(user.read_text())
    document["clusters"][0]["cluster"] = {"server": gate.url}
    path = user.with_name(f"{gate.name}.kubeconfig")
    path.write_text(yaml.safe_dump(document))
    return path
