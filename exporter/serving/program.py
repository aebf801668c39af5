"""The frame of a program: flags, log, config, server, signals, reload. A program brings its own `Daemon`.

`run` is the whole life: exit code 0 after SIGTERM or SIGINT or a good `--config.check`, 1 for a config that is wrong or
an address that cannot be listened on, 2 for flags that are wrong.
"""

import argparse
import asyncio
import logging
import os
import platform
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import TypeVar

from exporter.clock import Clock, SystemClock
from exporter.config.errors import ConfigError, Problem
from exporter.config.load import load
from exporter.config.model import Config
from exporter.config.resolve import ProgramName
from exporter.config.shard import Shard, parse_shard
from exporter.serving.access import UnprotectedError
from exporter.serving.address import Address, parse_address
from exporter.serving.exposition import CachedCollectors
from exporter.serving.garbage import collect_rarely
from exporter.serving.live_web_config import load_web_config
from exporter.serving.log import FORMATS, LEVELS, configure
from exporter.serving.process_metrics import CommonMetrics
from exporter.serving.server import Daemon, Server, application

log = logging.getLogger(__name__)

T = TypeVar("T")

Reload = Callable[[], Coroutine[None, None, str | None]]
"""Reloads the config; returns what is wrong with it, or None."""
DISTRIBUTION = "diego-medic"
RESOLVERS = 64
"""Threads that may look names up at once: a resolver that hangs for one host should not keep others waiting."""


class StartError(Exception):
    """The program cannot start like this; the text is for the person who started it."""


@dataclass(frozen=True, slots=True)
class Options:
    """The flags that all programs have."""

    config_file: str
    config_check: bool
    listen: Address
    web_config_file: str | None
    log_level: str
    log_format: str
    shard: Shard = field(default_factory=Shard)


@dataclass(frozen=True, slots=True)
class Start:
    """What a daemon is made of: the config, the flags, the clock, and the metrics that all programs have."""

    config: Config
    options: Options
    clock: Clock
    common: CachedCollectors


def _argument(parse: Callable[[str], T]) -> Callable[[str], T]:
    """The same function, whose ValueError argparse shows."""

    def argument(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return argument


def parse(argv: Sequence[str] | None, *, name: str, description: str, listen: str, sharded: bool) -> Options:
    """The flags. Exits for `--help` and `--version`, and with 2 where they are wrong."""
    parser = argparse.ArgumentParser(prog=name, description=description, allow_abbrev=False)
    parser.add_argument(
        "--config.file",
        metavar="FILE",
        default="diego.yaml",
        help="path of the configuration file (default: %(default)s)",
    )
    parser.add_argument(
        "--config.check",
        action="store_true",
        help="validate the configuration file and the web configuration file, report every problem, and exit",
    )
    parser.add_argument(
        "--web.listen-address",
        metavar="HOST:PORT",
        type=_argument(parse_address),
        default=parse_address(listen),
        help="address to listen on for HTTP; without a host, all addresses (default: %(default)s)",
    )
    parser.add_argument(
        "--web.config.file",
        metavar="FILE",
        help="path of a configuration file that enables TLS, client certificates or basic authentication, "
        "in the format of the Prometheus exporter-toolkit (default: none)",
    )
    parser.add_argument(
        "--log.level",
        choices=LEVELS,
        default="info",
        help="only log messages with this severity or above (default: %(default)s)",
    )
    parser.add_argument(
        "--log.format", choices=FORMATS, default="logfmt", help="output format of log messages (default: %(default)s)"
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"%(prog)s {version(DISTRIBUTION)} (Python {platform.python_version()})",
        help="print the version and exit",
    )
    if sharded:
        parser.add_argument(
            "--shard",
            metavar="I/N",
            type=_argument(parse_shard),
            default=Shard(),
            help="of the foundations of the configuration file, observe only those of shard I of N, counted from 0: "
            "each foundation belongs to one shard, by its name (default: all)",
        )
    flags = vars(parser.parse_args(argv))
    return Options(
        config_file=flags["config.file"],
        config_check=flags["config.check"],
        listen=flags["web.listen_address"],
        web_config_file=flags["web.config.file"],
        log_level=flags["log.level"],
        log_format=flags["log.format"],
        shard=flags.get("shard", Shard()),
    )


def run(
    argv: Sequence[str] | None,
    *,
    name: str,
    kind: ProgramName,
    description: str,
    listen: str,
    build: Callable[[Start], Daemon],
    sharded: bool = False,
) -> int:
    """The life of a program, from its flags to its exit code. `build` makes what it does, within the running loop.

    `sharded`: it has the flag `--shard`.
    """
    options = parse(argv, name=name, description=description, listen=listen, sharded=sharded)
    configure(options.log_level, options.log_format)
    try:
        config = _checked(options, kind)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.config_check:
        count, part = len(config.foundations), len(options.shard.part(config).foundations)
        words = f"no problems, {count} {'foundation' if count == 1 else 'foundations'}"
        if options.shard.total > 1:
            words += f", {part} of them in shard {options.shard}"
        sys.stdout.write(f"{options.config_file}: {words}\n")
        return 0
    raise_file_limit()
    try:
        asyncio.run(_serve(options, config, name=name, kind=kind, build=build))
    except (ConfigError, StartError) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 1
    return 0


def _checked(options: Options, kind: ProgramName) -> Config:
    """The config; all problems of it, and of the web config, are reported at once."""
    problems: list[Problem] = []
    config = None
    try:
        config = load(options.config_file, program=kind, thorough=options.config_check)
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
    options: Options, config: Config, *, name: str, kind: ProgramName, build: Callable[[Start], Daemon]
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolver"))
    stop = asyncio.Event()
    clock = SystemClock()
    common = CommonMetrics(name, version=version(DISTRIBUTION), clock=clock)
    daemon = build(Start(config=config, options=options, clock=clock, common=common.collectors))
    try:
        reload = reloader(daemon, load=partial(load, options.config_file, program=kind), metrics=common)
        server, address = await _listening(daemon, options.listen, reload)
        try:
            async with asyncio.TaskGroup() as group:
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.add_signal_handler(number, stop.set)
                loop.add_signal_handler(signal.SIGHUP, lambda: group.create_task(reload()))
                working = group.create_task(daemon.run())
                collecting = group.create_task(collect_rarely())
                log.info("started", extra={"program": name, "version": version(DISTRIBUTION), "address": str(address)})
                await stop.wait()
                log.info("stopping", extra={"program": name})
                # At once and not after the last request: what the work holds, such as a lease, others wait for.
                working.cancel()
                collecting.cancel()
                await server.close()
        finally:
            await server.close()
    finally:
        await daemon.close()


async def _listening(daemon: Daemon, asked: Address, reload: Reload) -> tuple[Server, Address]:
    try:
        listen = daemon.access.listen(asked)
    except UnprotectedError as error:
        raise StartError(str(error)) from error
    app = application(daemon, reload=reload)
    try:
        server = await Server.start(app, listen, ssl_context=daemon.access.ssl_context())
    except OSError as error:
        # asyncio puts words of its own into `strerror`; an unknown host has a number of getaddrinfo's, below zero.
        number = error.errno or 0
        words = os.strerror(number) if number > 0 else error.strerror or str(error)
        raise StartError(f"cannot listen on {listen}: {words}") from error
    return server, listen._replace(port=server.port)


def reloader(daemon: Daemon, *, load: Callable[[], Config], metrics: CommonMetrics) -> Reload:
    """What reloads the config: the daemon continues with the file as it is now, or, where that is wrong, as before."""
    one_at_a_time = asyncio.Lock()

    async def reload() -> str | None:
        async with one_at_a_time:
            try:
                config = await asyncio.to_thread(load)
                daemon.apply(config)
            except ConfigError as error:
                metrics.reloaded(successful=False)
                for problem in error.problems:
                    log.error("config not reloaded", extra={"problem": str(problem)})  # noqa: TRY400
                return str(error)
            metrics.reloaded(successful=True)
            log.info("config reloaded", extra={"foundations": len(config.foundations)})
            return None

    return reload


def raise_file_limit() -> None:
    """Let the process have as many files, and so connections, as the system allows it: the soft limit is often 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
