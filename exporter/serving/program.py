"""The frame of a program: flags, log, config, server, signals, reload. What the program does it brings along.

`run` is the whole life: exit code 0 after SIGTERM or SIGINT or a good `--config.check`, 1 for a config that is wrong or
an address that can't be had, 2 for flags that are wrong.
"""

import argparse
import asyncio
import logging
import os
import platform
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Middleware

from exporter.clock import Clock, SystemClock
from exporter.config.errors import ConfigError, Problem
from exporter.config.load import load
from exporter.config.model import Config
from exporter.config.resolve import ProgramName
from exporter.serving.access import WebAccess, load_web_config
from exporter.serving.exposition import Exposition, Part
from exporter.serving.log import FORMATS, LEVELS, configure
from exporter.serving.process_metrics import CommonMetrics
from exporter.serving.server import Address, Server, application, parse_address

log = logging.getLogger(__name__)

DISTRIBUTION = "diego-medic"
RESOLVERS = 64
"""Threads that may look names up at once: a resolver that hangs for one host should not keep others waiting."""


class StartError(Exception):
    """The program can't start like this; the text is for the person who started it."""


@dataclass(frozen=True, slots=True)
class Options:
    """The flags that all programs have."""

    config_file: str
    config_check: bool
    listen: Address
    web_config_file: str | None
    log_level: str
    log_format: str


class Service(Protocol):
    """What a program does inside of its frame."""

    @property
    def exposition(self) -> Exposition: ...

    @property
    def access(self) -> WebAccess: ...

    @property
    def middlewares(self) -> Sequence[Middleware]:
        """From the outermost to the innermost; that of `access` is among them."""

    @property
    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """Beside those of `exporter.serving.server`."""

    def listen(self, asked: Address) -> Address:
        """Where it may listen, for what the flag asked. Raises StartError."""

    def not_ready(self) -> str | None:
        """Why it can't do its work yet; None when it can."""

    def page(self) -> str:
        """The HTML of `/`."""

    def apply(self, config: Config) -> None:
        """Goes on with another config. Raises ConfigError for a file of it that can't be used, and changes nothing."""

    async def run(self) -> None:
        """Works until it is cancelled."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a service is made of: the config, the flags, the clock, and the metrics that all programs have."""

    config: Config
    options: Options
    clock: Clock
    common: Part


def parse(argv: Sequence[str] | None, *, name: str, description: str, listen: str) -> Options:
    """The flags. Ends the process for `--help` and `--version`, and with 2 where they are wrong."""

    def address(text: str) -> Address:
        try:
            return parse_address(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    parser = argparse.ArgumentParser(prog=name, description=description, allow_abbrev=False)
    add = partial(parser.add_argument)
    add("--config.file", metavar="FILE", default="diego.yaml", help="the config (default: %(default)s)")
    add("--config.check", action="store_true", help="check the config, say all that is wrong with it, and end")
    add(
        "--web.listen-address",
        metavar="HOST:PORT",
        type=address,
        default=parse_address(listen),
        help=f"(default: {listen})",
    )
    add(
        "--web.config.file", metavar="FILE", help="TLS, client certificates and users, in the exporter-toolkit's format"
    )
    add("--log.level", choices=LEVELS, default="info", help="(default: %(default)s)")
    add("--log.format", choices=FORMATS, default="logfmt", help="(default: %(default)s)")
    add("--version", action="version", version=f"%(prog)s {version(DISTRIBUTION)} (Python {platform.python_version()})")
    flags = vars(parser.parse_args(argv))
    return Options(
        config_file=flags["config.file"],
        config_check=flags["config.check"],
        listen=flags["web.listen_address"],
        web_config_file=flags["web.config.file"],
        log_level=flags["log.level"],
        log_format=flags["log.format"],
    )


def run(
    argv: Sequence[str] | None,
    *,
    name: str,
    kind: ProgramName,
    description: str,
    listen: str,
    build: Callable[[Start], Service],
) -> int:
    """The life of a program, from its flags to its exit code. `build` makes what it does, within the running loop."""
    options = parse(argv, name=name, description=description, listen=listen)
    configure(options.log_level, options.log_format)
    try:
        config = _checked(options, kind)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.config_check:
        count = len(config.foundations)
        sys.stdout.write(f"{options.config_file}: no problems, {count} foundation{'s'[: count != 1]}\n")
        return 0
    try:
        asyncio.run(_serve(options, config, name=name, kind=kind, build=build))
    except (ConfigError, StartError) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 1
    return 0


def _checked(options: Options, kind: ProgramName) -> Config:
    """The config; all that is wrong with it, and with the web config, is told at once."""
    problems: list[Problem] = []
    config = None
    try:
        config = load(options.config_file, program=kind)
    except ConfigError as error:
        problems.extend(error.problems)
    if options.web_config_file:
        try:
            load_web_config(options.web_config_file)
        except ConfigError as error:
            problems.extend(error.problems)
    if config is None or problems:
        raise ConfigError(problems)
    return config


async def _serve(
    options: Options, config: Config, *, name: str, kind: ProgramName, build: Callable[[Start], Service]
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolver"))
    stop = asyncio.Event()
    clock = SystemClock()
    common = CommonMetrics(name, version=version(DISTRIBUTION), clock=clock)
    service = build(Start(config=config, options=options, clock=clock, common=common.part))
    running = Running(name, service, load=partial(load, options.config_file, program=kind), metrics=common)
    listen = service.listen(options.listen)
    app = application(running, routes=service.routes, middlewares=service.middlewares)
    try:
        server = await Server.start(app, listen, ssl_context=service.access.ssl_context())
    except OSError as error:
        # asyncio puts words of its own into `strerror`; an unknown host has a number of getaddrinfo's, below zero.
        number = error.errno or 0
        words = os.strerror(number) if number > 0 else error.strerror or str(error)
        raise StartError(f"can't listen on {listen}: {words}") from error
    try:
        async with asyncio.TaskGroup() as group:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            loop.add_signal_handler(signal.SIGHUP, lambda: group.create_task(running.reload()))
            working = group.create_task(service.run())
            address = listen._replace(port=server.port)
            log.info("started", extra={"program": name, "version": version(DISTRIBUTION), "address": str(address)})
            await stop.wait()
            log.info("ending", extra={"program": name})
            await server.close()
            working.cancel()
    finally:
        await server.close()


class Running:
    """A service with the config that it runs on: what the server asks of a program."""

    def __init__(self, name: str, service: Service, *, load: Callable[[], Config], metrics: CommonMetrics) -> None:
        self.name = name
        self._service = service
        self._load = load
        self._metrics = metrics
        self._reloading = asyncio.Lock()

    @property
    def exposition(self) -> Exposition:
        return self._service.exposition

    def not_ready(self) -> str | None:
        return self._service.not_ready()

    def page(self) -> str:
        return self._service.page()

    async def reload(self) -> str | None:
        """Goes on with the config as the file has it now, or, where that is wrong, with the one in force."""
        async with self._reloading:
            try:
                config = await asyncio.to_thread(self._load)
                self._service.apply(config)
            except ConfigError as error:
                return self._refuse(error)
            self._metrics.reloaded(successful=True)
            log.info("the config was reloaded", extra={"foundations": len(config.foundations)})
            return None

    def _refuse(self, error: ConfigError) -> str:
        self._metrics.reloaded(successful=False)
        for problem in error.problems:
            log.error("the config was not reloaded", extra={"problem": str(problem)})
        return str(error)
