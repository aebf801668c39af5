"""`diego-exporter` or `diego-webhook` where the resolver knows the names of a sandbox, as it does in a cluster.

    python -m tests.support.named --config.file … --program exporter.main

The names are in `names.json` beside the config (`Sandbox.publish_names`); no other name exists. All else is the
program's own.
"""

import importlib
import json
import socket
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

_resolve = socket.getaddrinfo


def main(argv: list[str]) -> int:
    """The exit code of the program."""
    argv = argv.copy()
    at = argv.index("--program")
    _, module = argv[at : at + 2]
    del argv[at : at + 2]
    names = Path(argv[argv.index("--config.file") + 1]).with_name("names.json")

    def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host is None or _is_address(host):
            return _resolve(host, port, *args, **kwargs)
        addresses = json.loads(names.read_text()).get(host)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [found for each in addresses for found in _resolve(each, port, *args, **kwargs)]

    vars(socket)["getaddrinfo"] = resolve  # which asyncio looks up at each call
    code: int = importlib.import_module(module).main(argv)
    return code


def _is_address(host: str | bytes) -> bool:
    try:
        ip_address(host.decode() if isinstance(host, bytes) else host)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
