"""`load`: from a path to a checked config, or every mistake of the file at once."""

from typing import Annotated

from exporter.config.check import check
from exporter.config.errors import ConfigError
from exporter.config.model import Config, Foundation
from exporter.config.reader import read_tree
from exporter.config.remediation import Remediation, Webhook
from exporter.config.resolve import ProgramName, resolve
from exporter.config.types import Rule, RuleError, Strict


def _some(foundations: tuple[Foundation, ...]) -> None:
    if not foundations:
        raise RuleError("must name at least one foundation")


class File(Strict, frozen=True, kw_only=True):
    """The file once it is resolved; the general remediation is checked even where no foundation uses it."""

    foundations: Annotated[tuple[Foundation, ...], Rule(_some)]
    """The foundations that one exporter and one webhook watch, at least one."""

    remediation: Remediation = Remediation()
    """What `diego-webhook` and `diego-runbook` may do, for all foundations."""

    webhook: Webhook = Webhook()
    """What only `diego-webhook` uses."""


def load(path: str, *, program: ProgramName, thorough: bool = False) -> Config:
    """Read, resolve and check the file for one of the programs.

    The webhook requires a mode for each foundation, and its token file to exist. `thorough` also checks the files
    of `bbs.tls`, as `--config.check` does. The exporter runs without them: who lacks some evidence must not be blind.

    Raises:
        ConfigError: with every problem of the file, an unreadable one included; never anything else.

    """
    root, problems = read_tree(path)
    tree, more = resolve(root, file=path, program=program, thorough=thorough)
    checked, wrong = check(File, tree, file=path)
    problems = [*problems, *more, *wrong]
    if problems or checked is None:
        raise ConfigError(problems)
    return Config(foundations=checked.foundations, webhook=checked.webhook)
