"""Structured logs on stderr: logfmt or JSON, one line a record, as Prometheus's own programs write them.

Modules log with the standard library: the message says what happened, `extra` has the details as key and value. Nothing
secret is ever an `extra`; the kubeconfig's library, which logs what it sends, is kept to its warnings.
"""

import json
import logging
import re
import sys
import traceback
from functools import lru_cache
from typing import Any, Literal, TextIO, get_args

from exporter.clock import to_rfc3339

LogFormat = Literal["logfmt", "json"]
LogLevel = Literal["debug", "info", "warn", "error"]
FORMATS: tuple[str, ...] = get_args(LogFormat)
LEVELS: tuple[str, ...] = get_args(LogLevel)

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_PLAIN = re.compile(r'[^ ="\\]+').fullmatch
_NAMES = {"WARNING": "WARN", "CRITICAL": "ERROR"}


def configure(level: str, form: str, *, stream: TextIO | None = None) -> None:
    """Sends all logs of the process to the stream (default: stderr); what was configured before is replaced."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else LogfmtFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if level == "warn" else level.upper())
    for chatty in ("kubernetes_asyncio", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class LogfmtFormatter(logging.Formatter):
    """`time=… level=INFO source=observer.py:12 msg="…" key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{_key(key)}={_logfmt(value)}" for key, value in _fields(record).items())


class JsonFormatter(logging.Formatter):
    """The same fields as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        return _quoted(_fields(record))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "time": to_rfc3339(record.created),
        "level": _NAMES.get(record.levelname, record.levelname),
        "source": f"{record.filename}:{record.lineno}",
        "msg": record.getMessage(),
    }
    fields |= {key: value for key, value in vars(record).items() if key not in _STANDARD and key not in fields}
    if record.exc_info and record.exc_info[0] is not None:
        fields["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return fields


@lru_cache(maxsize=256)  # the keys are in the code
def _key(key: str) -> str:
    return "".join(char if char.isalnum() or char in "_.-" else "_" for char in key)


def _logfmt(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = str(value)
    return text if _PLAIN(text) and text.isprintable() else _quoted(text)


def _quoted(value: object) -> str:
    """The value as JSON, with letters as they are and all escaped that a terminal or a shipper may act on.

    JSON itself leaves C1 controls, NEL and the line separators of Unicode as they are.
    """
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(char: str) -> str:
    return char if char.isprintable() else json.dumps(char)[1:-1]
