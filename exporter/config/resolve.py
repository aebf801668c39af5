"""From what a person wrote to what is in force: each foundation over its profile and over the general remediation.

Also the rules that need more than one value, or the disk: names that must differ, foundations that would restart the
same pods, files that must exist. All of it works on the tree, so that these mistakes are reported with all others.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Literal

from exporter.config.client_tls import client_context
from exporter.config.errors import ConfigError, Problem
from exporter.config.paths import absolute, folder_of, missing_file
from exporter.config.pem import PemError, PemPart
from exporter.config.profiles import DEFAULT_PROFILE, PROFILES
from exporter.config.reader import read_tree
from exporter.config.tree import (
    Block,
    ListNode,
    Node,
    Scalar,
    child_path,
    from_python,
    get,
    get_items,
    get_names,
    get_text,
    merge,
)
from exporter.config.types import quoted

_PEM_FILES: Final[dict[PemPart, str]] = {"authorities": "ca", "certificate": "cert", "key": "key"}

ProgramName = Literal["exporter", "webhook", "runbook"]

# Every block, empty: over these a file may leave a block empty as well, with only comments below it.
_REMEDIATION: Final[dict[str, object]] = {"confirm": {}, "await_ready": {}, "verify": {}, "breaker": {}}
_FOUNDATION: Final[dict[str, object]] = {
    "bbs": {},
    "diego_api": {},
    "cloud_controller": {},
    "remediation": _REMEDIATION,
}


def resolve(root: Block, *, file: str, program: ProgramName, thorough: bool = False) -> tuple[Node, list[Problem]]:
    """The file with profiles and general remediation filled in, and the mistakes found on the way.

    Relative paths start from the file's own folder, as with Prometheus.
    """
    problems: list[Problem] = []
    folder = folder_of(file)
    entries = dict(root.entries)
    general = merge(from_python(_REMEDIATION), entries.get("remediation"))
    entries["remediation"] = general
    listed = entries.get("foundations")
    named: list[tuple[str, Node]] = []
    if isinstance(listed, ListNode):
        overlaid = tuple(_overlay(each, general=general, folder=folder) for each in listed.items)
        entries["foundations"] = replace(listed, items=overlaid)
        named = [(child_path("foundations", index), each) for index, each in enumerate(overlaid)]
        problems += _same_names(named, file=file)
        problems += _same_targets(named, file=file)
        problems += _kubeconfigs([each for _, each in named], file=file)
        if program == "exporter" and thorough:
            problems += _certificates([each for _, each in named], file=file)
    webhook = merge(Block({}), entries.get("webhook"))
    entries["webhook"] = absolute(webhook, "bearer_token_file", folder=folder)
    if program == "webhook":
        problems += _modes(named, general=general, file=file)
        problems += missing_file(get(entries["webhook"], "bearer_token_file"), file=file)
    return replace(root, entries=entries), problems


def _overlay(written: Node, *, general: Node, folder: str) -> Node:
    if not isinstance(written, Block):
        return written
    profile = PROFILES.get(get_text(written, "profile") or DEFAULT_PROFILE, PROFILES[DEFAULT_PROFILE])
    named = get(written, "diego_api", "statefulset")
    preset = profile.preset(
        namespace=get_text(written, "namespace") or "cf",
        diego_api=get_items(named) if named and get_names(named) else (),
    )
    below = merge(from_python(_FOUNDATION), from_python(preset))
    below = merge(below, Block({"remediation": general}))
    return _absolute_files(merge(below, written), folder=folder)


def _absolute_files(foundation: Node, *, folder: str) -> Node:
    """The foundation with the paths of its files made absolute."""
    foundation = absolute(foundation, "kubeconfig", folder=folder)
    bbs, tls = get(foundation, "bbs"), get(foundation, "bbs", "tls")
    if isinstance(foundation, Block) and isinstance(bbs, Block) and tls is not None:
        for key in _PEM_FILES.values():
            tls = absolute(tls, key, folder=folder)
        bbs = replace(bbs, entries={**bbs.entries, "tls": tls})
        foundation = replace(foundation, entries={**foundation.entries, "bbs": bbs})
    return foundation


def _same_names(foundations: list[tuple[str, Node]], *, file: str) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for path, foundation in foundations:
        node, name = get(foundation, "name"), get_text(foundation, "name")
        if node is None or name is None:
            continue
        if name in first:
            yield Problem(file, node.line, f"{path}.name", f"must be unique; {first[name]} has the name too")
        first.setdefault(name, path)


def _same_targets(foundations: list[tuple[str, Node]], *, file: str) -> Iterator[Problem]:
    """Foundations that would watch, or restart, the same StatefulSet: two runs would delete each other's pods."""
    first: dict[tuple[str | None, ...], str] = {}
    for path, foundation in foundations:
        kubeconfig, context, namespace = (get_text(foundation, key) for key in ("kubeconfig", "context", "namespace"))
        place = (*_cluster(kubeconfig, context), namespace)
        names = dict.fromkeys([*get_names(foundation, "diego_api", "statefulset"), *get_names(foundation, "restart")])
        shared = {name: first[*place, name] for name in names if (*place, name) in first}
        if shared:
            name, other = next(iter(shared.items()))
            message = f"is in the same cluster and namespace as {other}, with the same StatefulSet {quoted(name)}"
            yield Problem(file, foundation.line, path, message)
        for name in names:
            first.setdefault((*place, name), path)


def _cluster(kubeconfig: str | None, context: str | None) -> tuple[str | None, ...]:
    """What tells a cluster from another one: the API server's URL, where the kubeconfig says it."""
    # Text that is not printable may not be a path at all, and a pipe is read once, and not by us.
    if kubeconfig is None or not kubeconfig.isprintable() or not os.path.isfile(kubeconfig):  # noqa: PTH113 - as above
        return kubeconfig, context
    try:
        tree, _ = read_tree(kubeconfig)
    except ConfigError:
        tree = Block({})
    wanted = context if context is not None else get_text(tree, "current-context")
    cluster = _named(tree, "clusters", get_text(_named(tree, "contexts", wanted), "context", "cluster"))
    server, proxy = (get_text(cluster, "cluster", key) for key in ("server", "proxy-url"))
    if server is None:
        return os.path.realpath(kubeconfig), context  # one file may be named by several paths
    return server.rstrip("/"), proxy


def _named(tree: Node, key: str, name: str | None) -> Node | None:
    """The item of a kubeconfig's list that has the name."""
    listed = get(tree, key)
    items = listed.items if isinstance(listed, ListNode) else ()
    return next((each for each in items if name is not None and get_text(each, "name") == name), None)


def _modes(foundations: list[tuple[str, Node]], *, general: Node, file: str) -> Iterator[Problem]:
    blocks = [(path, each) for path, each in foundations if isinstance(each, Block)]
    without = []
    for path, each in blocks:
        mode = get(each, "remediation", "mode")
        if mode is None or (isinstance(mode, Scalar) and mode.value is None):
            without.append((path, each.line))
    if without and len(without) == len(blocks):
        without = [("", general.line)]
    for path, line in without:
        message = "is required: observe, approve or auto; there is no default, because auto deletes pods"
        yield Problem(file, line, child_path(path, "remediation") + ".mode", message)


def _kubeconfigs(foundations: list[Node], *, file: str) -> Iterator[Problem]:
    contexts: dict[str, list[str] | ConfigError] = {}
    for foundation in foundations:
        node, context = get(foundation, "kubeconfig"), get(foundation, "context")
        path = get_text(foundation, "kubeconfig")
        if node is None or path is None:
            continue
        missing = list(missing_file(node, file=file))
        yield from missing
        # A pipe is read once, and not by us.
        if missing or not isinstance(context, Scalar) or not isinstance(context.value, str) or not os.path.isfile(path):  # noqa: PTH113 - as above
            continue
        if path not in contexts:
            contexts[path] = _contexts(path)
        known = contexts[path]
        if isinstance(known, ConfigError):
            message = f"is not a kubeconfig: {known.problems[0].message}"
            yield Problem(file, node.line, node.path, message)
        elif context.value not in known:
            has = ", ".join(map(quoted, known[:10])) or "none"
            yield Problem(
                file, context.line, context.path, f"is not in the kubeconfig {quoted(path)}; its contexts: {has}"
            )


def _certificates(foundations: list[Node], *, file: str) -> Iterator[Problem]:
    """The mistakes in the files of `bbs.tls`: missing, or not what TLS can use."""
    wrong: dict[tuple[str, ...], PemError | None] = {}
    for tls in (get(each, "bbs", "tls") for each in foundations):
        missing = [problem for key in _PEM_FILES.values() for problem in missing_file(get(tls, key), file=file)]
        yield from missing
        paths = tuple(path for key in _PEM_FILES.values() if (path := get_text(tls, key)) and path.isprintable())
        if missing or len(paths) < len(_PEM_FILES):
            continue
        if paths not in wrong:
            wrong[paths] = _pem_error(*paths)
        error = wrong[paths]
        node = get(tls, _PEM_FILES[error.part]) if error else None
        if error and node:
            yield Problem(file, node.line, node.path, error.message)


def _pem_error(ca: str, cert: str, key: str) -> PemError | None:
    try:
        client_context(ca=ca, cert=cert, key=key)
    except PemError as error:
        return error
    return None


def _contexts(kubeconfig: str) -> list[str] | ConfigError:
    try:
        tree, _ = read_tree(kubeconfig)
    except ConfigError as error:
        return error
    listed = get(tree, "contexts")
    items = listed.items if isinstance(listed, ListNode) else ()
    return [name for each in items if (name := get_text(each, "name"))]
