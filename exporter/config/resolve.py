"""From what a person wrote to what holds: the profile under each foundation, the general remediation under its own.

Also the rules that need more than one value, or the disk: names that must differ, foundations that would restart the
same pods, files that must exist. All of it works on the tree, so that these mistakes are reported beside all others.
"""

import dataclasses
import os
from collections.abc import Iterator
from typing import Final, Literal

from exporter.config.errors import ConfigError, Problem
from exporter.config.paths import absolute, folder_of, missing_file
from exporter.config.profiles import DEFAULT_PROFILE, PROFILES
from exporter.config.reader import read_tree
from exporter.config.tree import (
    Block,
    Node,
    Scalar,
    Sequence,
    child_path,
    from_python,
    get,
    get_items,
    get_names,
    get_text,
    merge,
)
from exporter.config.types import quoted

Program = Literal["exporter", "webhook", "runbook"]

# Each block is there, if empty: then a file may leave one empty as well, with only comments below it.
_REMEDIATION: Final[dict[str, object]] = {"confirm": {}, "await_ready": {}, "verify": {}, "breaker": {}}
_FOUNDATION: Final[dict[str, object]] = {
    "bbs": {},
    "diego_api": {},
    "cloud_controller": {},
    "remediation": _REMEDIATION,
}


def resolve(root: Block, *, file: str, program: Program) -> tuple[Node, list[Problem]]:
    """Return the file with everything filled in that the models' own defaults don't, and the problems found on the way.

    Relative paths in it are taken from the file's own folder, as Prometheus does.
    """
    problems: list[Problem] = []
    folder = folder_of(file)
    entries = dict(root.entries)
    general = merge(from_python(_REMEDIATION), entries.get("remediation"))
    entries["remediation"] = general
    listed = entries.get("foundations")
    if isinstance(listed, Sequence):
        overlaid = tuple(_overlay(each, general=general, folder=folder) for each in listed.items)
        entries["foundations"] = dataclasses.replace(listed, items=overlaid)
        named = [(child_path("foundations", index), each) for index, each in enumerate(overlaid)]
        problems += _same_names(named, file=file)
        problems += _same_targets(named, file=file)
        problems += _modes(named, general=general, file=file, program=program)
        problems += _kubeconfigs([each for _, each in named], file=file)
    webhook = merge(Block({}), entries.get("webhook"))
    entries["webhook"] = absolute(webhook, "bearer_token_file", folder=folder)
    if program == "webhook":
        problems += missing_file(get(entries["webhook"], "bearer_token_file"), file=file)
    return dataclasses.replace(root, entries=entries), problems


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
    return absolute(merge(below, written), "kubeconfig", folder=folder)


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
    """Find foundations that would watch, or restart, one StatefulSet twice: two runs would fight over its pods."""
    first: dict[tuple[str | None, ...], str] = {}
    for path, foundation in foundations:
        place = tuple(get_text(foundation, key) for key in ("kubeconfig", "context", "namespace"))
        names = dict.fromkeys([*get_names(foundation, "diego_api", "statefulset"), *get_names(foundation, "restart")])
        shared = {name: first[*place, name] for name in names if (*place, name) in first}
        if shared:
            name, other = next(iter(shared.items()))
            message = f"is in the same cluster and namespace as {other}, with the same StatefulSet {quoted(name)}"
            yield Problem(file, foundation.line, path, message)
        for name in names:
            first.setdefault((*place, name), path)


def _modes(foundations: list[tuple[str, Node]], *, general: Node, file: str, program: Program) -> Iterator[Problem]:
    if program == "exporter":
        return
    blocks = [(path, each) for path, each in foundations if isinstance(each, Block)]
    without = []
    for path, each in blocks:
        mode = get(each, "remediation", "mode")
        if mode is None or (isinstance(mode, Scalar) and mode.value is None):
            without.append((path, each))
        elif isinstance(mode, Scalar) and mode.value == "approve":
            message = "approval by a person is not available in this version; use observe or auto"
            yield Problem(file, mode.line, mode.path, message)
    if program == "webhook" and without:
        message = "is required, observe or auto: no pod is deleted by a default"
        if len(without) == len(blocks):
            yield Problem(file, general.line, "remediation.mode", message)
        else:
            yield from (Problem(file, each.line, f"{path}.remediation.mode", message) for path, each in without)


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


def _contexts(kubeconfig: str) -> list[str] | ConfigError:
    try:
        tree, _ = read_tree(kubeconfig)
    except ConfigError as error:
        return error
    listed = get(tree, "contexts")
    items = listed.items if isinstance(listed, Sequence) else ()
    return [name for each in items if (name := get_text(each, "name"))]
