"""The shipped rules and routes with shortened times: a minute becomes a few seconds, nothing else changes."""

import re
from pathlib import Path
from typing import Any

import yaml

DIVISOR = 20
"""`for: 1m` becomes 3 s."""
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def alerts_directory() -> Path:
    """Where the shipped files are: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).parents[1]
    installed = here / "alerts"
    return installed if installed.is_dir() else here.parent / "alerts"


def rules(text: str) -> str:
    """The rule file, evaluated every second, with `for` and `keep_firing_for` shortened."""
    document = yaml.safe_load(text)
    for group in document["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            for key in ("for", "keep_firing_for"):
                if key in rule:
                    rule[key] = _shortened(rule[key])
    return str(yaml.safe_dump(document, sort_keys=False))


def routes(text: str, *, url: str, token_file: Path) -> str:
    """Alertmanager's configuration, with its waits shortened, for a webhook at this URL with this token."""
    document = yaml.safe_load(text)
    _shorten_route(document["route"])
    for receiver in document["receivers"]:
        for webhook in receiver.get("webhook_configs") or ():
            webhook["url"] = url
            webhook["http_config"]["authorization"]["credentials_file"] = str(token_file)
    return str(yaml.safe_dump(document, sort_keys=False))


def _shorten_route(route: dict[str, Any]) -> None:
    for key in ("group_wait", "group_interval", "repeat_interval"):
        if key in route:
            route[key] = _shortened(route[key])
    for child in route.get("routes") or ():
        _shorten_route(child)


def _shortened(duration: str) -> str:
    seconds = sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))
    return f"{max(1, round(seconds / DIVISOR))}s"
