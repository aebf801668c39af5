# ruff: noqa: INP001 - a hook of MkDocs, not a module of a package
"""What MkDocs does to each page: a link that leaves docs/ leads to the file in the repository."""

import posixpath
import re
from typing import Any

_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_rest: Any) -> str:
    """Called by MkDocs with the text of a page."""
    folder = posixpath.dirname(page.file.src_uri)

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, found[1]))
        if target.startswith("docs/"):
            return found[0]
        return f"]({config['repo_url']}/blob/main/{target}{found[2] or ''})"

    return _LINK.sub(link, markdown)
