"""The addresses of one sandbox: a /24 of its own in 127.0.0.0/8, so that several run at once."""


class Addresses:
    """Hands out addresses; a pod's is used again only after all others."""

    def __init__(self, prefix: str = "127.0.88") -> None:
        self.prefix = prefix
        self._services = 9
        self._pods = 19

    @property
    def node(self) -> str:
        """Where the API server listens, too."""
        return f"{self.prefix}.1"

    def service(self) -> str:
        self._services += 1
        return f"{self.prefix}.{self._services}"

    def pod(self) -> str:
        self._pods = self._pods + 1 if self._pods < 250 else 20
        return f"{self.prefix}.{self._pods}"
