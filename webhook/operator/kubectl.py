"""Commands of kubectl for a person: on the foundation's cluster, whatever their current context is."""

import shlex

from exporter.config.model import Foundation


def kubectl(foundation: Foundation, arguments: str) -> str:
    """`kubectl ARGUMENTS` with the foundation's kubeconfig and context, where the config names them."""
    named = (("--kubeconfig", foundation.kubeconfig), ("--context", foundation.context))
    flags = "".join(f" {flag}={shlex.quote(value)}" for flag, value in named if value is not None)
    return f"kubectl{flags} {arguments}"
