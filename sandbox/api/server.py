"""The API server below HTTP: a call in, an answer out, synchronously.

Authentication, authorization, the verbs, the audit log. The HTTP server puts it on a socket (`sandbox.api.http`); a
simulation may call it directly, and lose answers between calls as it likes.
"""

import base64
import binascii
import json
import random
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec

from sandbox.api import discovery
from sandbox.api.access import Access
from sandbox.api.audit import AuditLog
from sandbox.api.calls import Call, Target, target
from sandbox.api.mishaps import Mishaps
from sandbox.api.watch import Watch, parse_version
from sandbox.cluster import errors, programs
from sandbox.cluster.cluster import Cluster
from sandbox.cluster.errors import StatusError
from sandbox.cluster.objects import Obj, uid_of
from sandbox.cluster.resources import ACCESS_REVIEWS, PODS
from sandbox.cluster.selectors import Predicate, field_selector, label_selector

_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    code: int
    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Exec:
    """An exec that was allowed and has run; the transport sends what it said when its time is over."""

    argv: tuple[str, ...]
    result: programs.Result


Answer = Response | Watch | Exec


class ApiServer:
    """Answers calls on a cluster."""

    def __init__(
        self, cluster: Cluster, *, access: Access, audit: AuditLog, mishaps: Mishaps, rng: random.Random
    ) -> None:
        self._cluster = cluster
        self._access = access
        self._audit = audit
        self._mishaps = mishaps
        self._rng = rng
        self._answers: dict[Target, tuple[Obj, Response]] = {}

    def handle(self, call: Call, *, upgrade: bool = False) -> Answer:
        """`upgrade`: the client wants to speak WebSocket, which exec needs."""
        try:
            user = self._access.user(call.token)
            about = target(call.method, call.path, watch=bool(call.query) and call.flag("watch"))
            if about is None:
                return _plain(call)
        except StatusError as error:
            return _refusal(error)
        request: Any = None
        try:
            self._authorize(user, about)
            request = _body(call)
            self._mishaps.before(about)
            answer = self._dispatch(call, about, request, user=user, upgrade=upgrade)
            self._mishaps.after(about)
        except StatusError as error:
            answer = _refusal(error)
        if self._audit.wants(about):
            code = answer.code if isinstance(answer, Response) else 101
            uri = call.path + ("?" + urlencode(call.query, doseq=True) if call.query else "")
            self._audit.record(call, about, user=user, code=code, request=request, request_uri=uri)
        return answer

    def _authorize(self, user: str, about: Target) -> None:
        if about.resource is ACCESS_REVIEWS or not self._access.denials:
            return
        resource = f"{about.resource.plural}/{about.subresource}" if about.subresource else about.resource.plural
        if not self._access.allows(user=user, verb=about.verb, resource=resource, name=about.name):
            raise errors.forbidden(
                about.resource,
                about.name,
                user=user,
                verb=about.verb,
                subresource=about.subresource,
                namespace=about.namespace,
            )

    def _dispatch(self, call: Call, about: Target, request: Any, *, user: str, upgrade: bool) -> Answer:
        if about.resource is ACCESS_REVIEWS:
            if about.verb != "create":
                raise errors.method_not_allowed()
            return _object(201, self._access.review(user, request or {}))
        if about.subresource == "log":
            return self._log(call, about)
        if about.subresource == "exec":
            return self._exec(call, about, upgrade=upgrade)
        if about.verb in ("get", "list", "watch"):
            return self._read(call, about)
        return self._write(call, about, request)

    def _read(self, call: Call, about: Target) -> Answer:
        if about.verb == "list":
            return self._list(call, about)
        if about.verb == "watch":
            return self._watch(call, about)
        return self._encoded(about, self._cluster.registry.get(about.resource, about.namespace, about.name))

    def _encoded(self, about: Target, obj: Obj) -> Response:
        """An object of the store, which is never changed in place, is encoded once."""
        known = self._answers.get(about)
        if known is None or known[0] is not obj:
            known = self._answers[about] = obj, _object(200, obj)
        return known[1]

    def _write(self, call: Call, about: Target, request: Any) -> Response:
        registry, where, subresource = self._cluster.registry, (about.resource, about.namespace), about.subresource
        match about.verb:
            case "create":
                return _object(201, self._cluster.create(*where, request))
            case "update":
                return _object(200, registry.update(*where, about.name, request, subresource=subresource))
            case "patch":
                kind = call.content_type
                patched = registry.patch(*where, about.name, request, content_type=kind, subresource=subresource)
                return _object(200, patched)
            case "delete":
                return self._delete(call, about, request)
        raise errors.method_not_allowed()

    def _selected(self, call: Call) -> Predicate:
        labels, fields = label_selector(call.first("labelSelector")), field_selector(call.first("fieldSelector"))
        return lambda obj: labels(obj) and fields(obj)

    def _list(self, call: Call, about: Target) -> Response:
        selected, limit = self._selected(call), call.number("limit")
        store = self._cluster.store
        wanted = parse_version(call.first("resourceVersion"))
        if wanted is not None and wanted > store.revision:
            raise errors.too_large_resource_version(wanted, store.revision)
        items = [obj for obj in store.all(about.resource, about.namespace or None) if selected(obj)]
        metadata: Obj = {"resourceVersion": str(store.revision)}
        start = _continued(call.first("continue"))
        if limit:
            rest = items[start + limit :]
            if rest:
                token = json.dumps({"start": start + limit}).encode()
                metadata |= {"continue": base64.urlsafe_b64encode(token).decode(), "remainingItemCount": len(rest)}
            items = items[start : start + limit]
        bare = [{key: value for key, value in obj.items() if key not in ("kind", "apiVersion")} for obj in items]
        kind = {"kind": f"{about.resource.kind}List", "apiVersion": about.resource.api_version}
        return _object(200, kind | {"metadata": metadata, "items": bare})

    def _watch(self, call: Call, about: Target) -> Watch:
        timeout = call.number("timeoutSeconds")
        return Watch(
            self._cluster.store,
            about.resource,
            namespace=about.namespace,
            selected=self._selected(call),
            since=parse_version(call.first("resourceVersion")),
            timeout=timeout or self._rng.uniform(1800, 3600),  # as kube-apiserver chooses
        )

    def _delete(self, call: Call, about: Target, options: Any) -> Response:
        options = dict(options or {})
        grace = call.number("gracePeriodSeconds")
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if call.first("propagationPolicy"):
            options["propagationPolicy"] = call.first("propagationPolicy")
        obj, gone = self._cluster.registry.delete(about.resource, about.namespace, about.name, options)
        if about.resource is PODS or not gone:
            return _object(200, obj)
        details = {"name": about.name, "kind": about.resource.plural, "uid": uid_of(obj)}
        details |= {"group": about.resource.group} if about.resource.group else {}
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return _object(200, status)

    def _log(self, call: Call, about: Target) -> Response:
        since_seconds = call.number("sinceSeconds")
        log = self._cluster.log(about.namespace, about.name, call.first("container"), previous=call.flag("previous"))
        content = log.read(
            previous=call.flag("previous"),
            tail_lines=call.number("tailLines"),
            limit_bytes=call.number("limitBytes"),
            since=None if since_seconds is None else self._cluster.now - since_seconds,
            timestamps=call.flag("timestamps"),
        )
        return Response(200, content, "text/plain")

    def _exec(self, call: Call, about: Target, *, upgrade: bool) -> Answer:
        argv = tuple(call.query.get("command") or ())
        container = self._cluster.container_of(about.namespace, about.name, call.first("container"))
        if not upgrade:
            raise errors.bad_request("Upgrade request required")
        if not any(call.flag(stream) for stream in ("stdin", "stdout", "stderr")):
            return Response(400, b"you must specify at least 1 of stdin, stdout, stderr", "text/plain")
        return Exec(argv, self._cluster.exec(about.namespace, about.name, container, argv))


def _object(code: int, obj: Obj) -> Response:
    return Response(code, _encode(obj))


def _refusal(error: StatusError) -> Response:
    return Response(error.code, _encode(error.body))


def _body(call: Call) -> Any:
    if not call.body:
        return None
    try:
        return msgspec.json.decode(call.body)
    except msgspec.DecodeError as error:
        raise errors.bad_request(f"the object provided is unrecognized: json parse error: {error}") from None


def _continued(token: str) -> int:
    if not token:
        return 0
    try:
        return int(json.loads(base64.urlsafe_b64decode(token))["start"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise errors.bad_request("invalid continue token: continue key is not valid") from None


def _plain(call: Call) -> Response:
    document = discovery.document(call.path)
    if document is None:
        return Response(404, b"404 page not found\n", "text/plain; charset=utf-8")
    if isinstance(document, str):
        return Response(200, document.encode(), "text/plain; charset=utf-8")
    return _object(200, document)
