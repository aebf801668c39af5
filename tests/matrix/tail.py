"""The real cluster, with the part of its audit log that is newer than a moment."""

import json
from pathlib import Path
from typing import Any

from tests.support.cluster import RealCluster


class Tail(RealCluster):
    """`audit` returns the events since `here` was called."""

    def __init__(self, environment: dict[str, str]) -> None:
        super().__init__(environment)
        self._from = 0

    def here(self) -> None:
        self._from = self._file.stat().st_size

    def audit(self) -> list[dict[str, Any]]:
        """Raises AssertionError where the API server has begun a new file (100 MiB)."""
        with self._file.open("rb") as file:
            assert file.seek(0, 2) >= self._from, f"{self._file} is not the file that it was"
            file.seek(self._from)
            return [json.loads(line) for line in file]

    @property
    def _file(self) -> Path:
        return self.run / "audit.log"
