"""Programs that some tests need beside Python, such as Prometheus' own."""

import os
import shutil
from pathlib import Path

import pytest

_PACKAGES = {
    "chromium": "chromium",
    "openssl": "openssl",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}

_ALIKE = {"chromium": ("chromium-browser", "google-chrome")}


def need(tool: str) -> Path:
    """Where `tool` is; without it the test is skipped, or fails where DIEGO_MEDIC_REQUIRE_TOOLS=1 (as in CI).

    Debian calls some programs `prometheus-alertmanager` where their authors say `alertmanager`: either will do.
    """
    for name in (tool, f"prometheus-{tool}", *_ALIKE.get(tool, ())):
        if found := shutil.which(name):
            return Path(found)
    reason = f"{tool} is not installed (on Debian: apt-get install {_PACKAGES.get(tool, tool)})"
    if os.environ.get("DIEGO_MEDIC_REQUIRE_TOOLS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
