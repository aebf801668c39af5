"""Everything that takes part, started on the sandbox's addresses and ended in order."""

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import bcrypt

from sandbox.certificates import can_make
from sandbox.control import Control
from sandbox.demo.children import Children
from sandbox.demo.http import Client, sample
from sandbox.demo.senders import Programs, RealSender, Sender, StandInSender, find_programs
from sandbox.loopback import free_port
from sandbox.sandbox import Sandbox

EXPORTER_PORT, WEBHOOK_PORT = 10889, 10890
START_DEADLINE = 60.0
"""Seconds until everything must be up."""


USER = "demo"
"""Who logs in to the webhook's status page."""


class StartError(Exception):
    """Something did not come up."""


class Stage:
    """The sandbox, the exporter, the webhook, and whoever sends the notifications."""

    def __init__(self, *, real: bool | None = None) -> None:
        """`real`: with the real Prometheus and Alertmanager; None: where they are on the PATH."""
        programs = None if real is False else find_programs()
        if real and programs is None:
            raise StartError("prometheus and alertmanager are not both on the PATH")
        self._stack = AsyncExitStack()
        self.box = Sandbox(bbs_tls=can_make())
        self.children = Children(self.box.directory)
        self.token_file = self.box.directory / "token"
        self.token_file.write_text(secrets.token_urlsafe(24))
        self.token_file.chmod(0o600)
        self.password = secrets.token_urlsafe(9)
        self.web_config_file = self.box.directory / "web.yaml"
        self.web_config_file.write_text(f"basic_auth_users: {{{USER}: {_hashed(self.password)}}}\n")
        self.client = Client(self.token_file, user=USER, password=self.password)
        self.control = Control(self.box)
        self.config_file = self.box.write_config(self._config())
        node = self.box.addresses.node
        self.exporter = f"http://{node}:{free_port(node, EXPORTER_PORT)}"
        self.webhook = f"http://{node}:{free_port(node, WEBHOOK_PORT)}"
        self.sender: Sender = self._choose_sender(programs)

    async def __aenter__(self) -> Self:
        try:
            await self._stack.enter_async_context(self.box)
            self._stack.push_async_callback(self.children.stop)
            await self._stack.enter_async_context(self.client)
            await self._stack.enter_async_context(self.control)
            await self._start_programs()
        except BaseException:
            await self._stack.aclose()
            await self.box.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def gauge(self) -> float | None:
        """`diego_bbs_tcp_reachable` of the exporter; None where it is absent."""
        metrics = await self.client.text(f"{self.exporter}/metrics")
        return None if metrics is None else sample(metrics, "diego_bbs_tcp_reachable", vantage="exporter")

    async def runs(self) -> list[dict[str, Any]]:
        """The webhook's runs, newest first."""
        answer = await self.client.json(f"{self.webhook}/api/v1/runs")
        return list(answer["runs"]) if answer else []

    async def notifications(self) -> float:
        """How many notifications the webhook has put on record."""
        metrics = await self.client.text(f"{self.webhook}/metrics")
        return (sample(metrics, "diego_webhook_notifications_total", code="202") or 0.0) if metrics else 0.0

    async def until(self, what: Callable[[], Awaitable[bool]], *, name: str, within: float = START_DEADLINE) -> None:
        """Waits. Raises StartError after `within` seconds, ChildDiedError as soon as a program ends."""
        try:
            async with asyncio.timeout(within):
                while not await what():
                    self.children.check()
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise StartError(f"{name}: not within {within:.0f} s\n{self.children.tails()}") from None

    def _config(self) -> dict[str, Any]:
        """The real config file with shortened times; the names and the meanings are the shipped ones."""
        config = self.box.config(bbs={"interval": "1s", "timeout": "1s"}, staleness="10s")
        config["remediation"] |= {
            "confirm": {"attempts": 3, "interval": "1s"},
            "await_ready": {"timeout": "1m"},
            "verify": {"attempts": 2, "interval": "1s", "timeout": "30s"},
            "cooldown": "20s",
            "retry": "5s",
            "breaker": {"runs": 10, "window": "1h"},
        }
        config["webhook"] = {"bearer_token_file": str(self.token_file)}
        return config

    def _choose_sender(self, programs: Programs | None) -> Sender:
        if programs is None:
            return StandInSender(self.client, exporter=self.exporter, webhook=self.webhook)
        return RealSender(
            programs,
            client=self.client,
            children=self.children,
            directory=self.box.directory,
            host=self.box.addresses.node,
            exporter=self.exporter,
            webhook=self.webhook,
            token_file=self.token_file,
            user=USER,
            password=self.password,
        )

    async def _start_programs(self) -> None:
        login = f"--web.config.file={self.web_config_file}"
        programs = (
            ("diego-exporter", "exporter.main", self.exporter, ()),
            ("diego-webhook", "webhook.main", self.webhook, (login,)),
        )
        for name, module, url, more in programs:
            address = url.removeprefix("http://")
            flags = (f"--config.file={self.config_file}", f"--web.listen-address={address}", *more)
            await self.children.start(name, (sys.executable, "-m", module, *flags))
        for name, _, url, _ in programs:
            await self.until(lambda url=url: self.client.ok(f"{url}/-/ready"), name=name)  # type: ignore[misc]

        async def reachable() -> bool:
            return await self.gauge() == 1

        await self.until(reachable, name="the gauge diego_bbs_tcp_reachable")
        await self.sender.start()
        self._stack.push_async_callback(self.sender.stop)
        await self.until(self.sender.ready, name=self.sender.name)


def _hashed(password: str) -> str:
    """As a web config has it; the lowest cost that it allows, for a password of an hour."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
