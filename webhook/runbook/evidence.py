"""Evidence: the logs of the pods before they are deleted. A restart destroys what explains the incident.

Best effort, bounded in time and size, and never a reason to stop.
"""

import asyncio
import logging
import re
from collections.abc import Sequence

from exporter.kubernetes.api import KubernetesError
from exporter.kubernetes.objects import Pod
from exporter.tasks import together
from webhook.writer import Writer

log = logging.getLogger(__name__)

TAIL_LINES = 300
LIMIT_BYTES = 128 * 1024
EXCERPT_BYTES = 16 * 1024
"""The most that is kept with the run."""

_LONGEST_LINE = 500  # characters

_TELLING = re.compile(
    r"lock|locket|database|sql|lost|fail|error|panic|fatal|refused|timed? ?out|deadline|exceeded|unavailable|crash",
    re.IGNORECASE,
)


async def gather(
    kubernetes: Writer, pods: Sequence[Pod], *, run_id: str, timeout: float, limit: int = EXCERPT_BYTES
) -> str:
    """Writes the pods' logs to our own log under the run's id, and returns the most telling lines.

    `timeout` is in seconds, for all logs together; `limit` in bytes, for what is returned.
    """
    wanted = [(pod, container.name, False) for pod in pods for container in pod.spec.containers]
    wanted += [
        (pod, status.name, True)
        for pod in pods
        for status in pod.status.container_statuses or ()
        if status.restart_count
    ]
    lines: dict[str, list[str]] = {}

    async def fetch(pod: Pod, container: str, *, previous: bool) -> None:
        source = f"{pod.name}/{container}" + (" (previous)" if previous else "")
        try:
            text = await kubernetes.log(
                pod.name, container, previous=previous, tail_lines=TAIL_LINES, limit_bytes=LIMIT_BYTES
            )
        except KubernetesError as error:
            text = f"(no log: {error})"
        lines[source] = text.splitlines()
        log.info("evidence preserved", extra={"run": run_id, "container": source, "text": text})

    try:
        async with asyncio.timeout(timeout), together() as start:
            for pod, container, previous in wanted:
                start(fetch(pod, container, previous=previous))
    except TimeoutError:
        log.warning("evidence is incomplete", extra={"run": run_id, "seconds": timeout})
    return excerpt({source: lines[source] for source in sorted(lines)}, limit=limit)


def excerpt(lines: dict[str, list[str]], *, limit: int) -> str:
    """The most telling lines of each source within `limit` bytes: the last ones that name trouble, else the last."""
    if not lines:
        return ""
    share = limit // len(lines)
    parts = []
    for source, said in lines.items():
        telling = [line for line in said if _TELLING.search(line)] or said[-5:]
        kept: list[str] = []
        size = len(source) + 2
        for whole in reversed(telling):
            line = whole[:_LONGEST_LINE]
            size += len(line.encode()) + 3
            if size > share:
                break
            kept.append(f"  {line}")
        parts += [f"{source}:", *reversed(kept)]
    return "\n".join(parts)
