"""`load`: from a path to a checked config, or every mistake of the file at once."""

from typing import Annotated

from pydantic import AfterValidator

from exporter.config.check import check
from exporter.config.errors import ConfigError
from exporter.config.model import Config, Foundation
from exporter.config.reader import read_tree
from exporter.config.remediation import Remediation, Webhook
from exporter.config.resolve import ProgramName, resolve
from exporter.config.types import Strict, broken_rule


def _some(foundations: tuple[Foundation, ...]) -> tuple[Foundation, ...]:
    if not foundations:
        raise broken_rule("must name at least one foundation")
    return foundations


class _File(Strict):
    """The file once it is resolved; the general remediation is checked even where no foundation uses it."""

    foundations: Annotated[tuple[Foundation, ...], AfterValidator(_some)]
    remediation: Remediation
    webhook: Webhook


def load(path: str, *, program: ProgramName) -> Config:
    """Read, resolve and check the file for one of the programs.

    The webhook requires a mode for each foundation, and its token file to exist.

    Raises:
        ConfigError: with every problem of the file, an unreadable one included; never anything else.

    """
    root, problems = read_tree(path)
    tree, more = resolve(root, file=path, program=program)
    checked, wrong = check(_File, tree, file=path)
    problems = [*problems, *more, *wrong]
    if problems or checked is None:
        raise ConfigError(problems)
    return Config(foundations=checked.foundations, webhook=checked.webhook)
