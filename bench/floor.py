"""The floor of a scrape: aiohttp that answers every request with the same bytes. `python -m bench.floor PORT FILE`."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from bench.http import get
from bench.programs import Program, free_port, running, until


@contextmanager
def floor(body: bytes) -> Iterator[Program]:
    """Runs it, with this body as the answer."""
    with tempfile.NamedTemporaryFile(prefix="diego-bench-") as file:
        file.write(body)
        file.flush()
        port = free_port()
        with running([sys.executable, "-m", "bench.floor", str(port), file.name], port=port) as program:
            until(lambda: get(port, "/").status == 200, what="the floor listens")
            yield program


def main() -> None:
    port, file = sys.argv[1:]
    body = Path(file).read_bytes()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None)


if __name__ == "__main__":
    main()
