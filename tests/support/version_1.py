"""Journals as the first version of the program wrote them. They are read, and never written again."""

IN_THE_MIDDLE = """\
{"foundation": "cf", "version": 1, "epoch": 7, "request": null, "resolved": {}, "paused": null,
"breaker_open": null, "breaker_reset": null, "disruptions": [{"run": "cf-1",
"started": "2026-01-31T12:00:02.250000Z", "ended": null}], "runs": [{"id": "cf-1", "foundation": "cf",
"runbook": "restart-diego-api", "mode": "auto", "started": "2026-01-31T12:00:01Z", "alerts": {"a": true,
"b": false}, "asked_by": "Alert-a", "person": null, "ended": null, "outcome": null, "reason": "",
"detail": "", "step": "restart", "steps": [{"name": "confirm-unreachable",
"started": "2026-01-31T12:00:01.500000Z", "ended": "2026-01-31T12:00:02Z", "result": "ok",
"detail": "4 of 4"}, {"name": "restart", "started": "2026-01-31T12:00:02Z", "ended": null, "result": null,
"detail": ""}], "pods": [{"name": "diego-api-0", "uid": "uid-0", "statefulset": "diego-api", "grace": 600,
"intent": "2026-01-31T12:00:02.250000Z", "deleted": true, "answer": "deleted"}, {"name": "diego-api-1",
"uid": "uid-1", "statefulset": "diego-api", "grace": 600, "intent": "2026-01-31T12:00:03Z", "deleted": false,
"answer": ""}, {"name": "diego-api-2", "uid": "uid-2", "statefulset": "diego-api", "grace": 600,
"intent": null, "deleted": false, "answer": ""}], "evidence": "", "executor": "me"}], "notes": []}
"""
"""A restart in progress: one pod is deleted, of one the intent is on record, one is only listed."""

ANSWERS = """\
{"foundation": "cf", "version": 1, "epoch": 0, "request": null, "resolved": {}, "paused": null,
"breaker_open": null, "breaker_reset": null, "disruptions": [], "runs": [{"id": "cf-1", "foundation": "cf",
"runbook": "restart-diego-api", "mode": "auto", "started": "2026-01-31T12:00:01Z", "alerts": {},
"asked_by": "ann", "person": {"by": "ann", "at": "2026-01-31T12:00:00Z", "observe": false},
"ended": "2026-01-31T12:01:30Z", "outcome": "failed", "reason": "no-active-label", "detail": "nobody leads",
"step": null, "steps": [], "pods": [{"name": "diego-api-0", "uid": "uid-0", "statefulset": "diego-api",
"grace": 600, "intent": "2026-01-31T12:00:02Z", "deleted": true, "answer": "gone already"},
{"name": "diego-api-1", "uid": "uid-1", "statefulset": "diego-api", "grace": 600,
"intent": "2026-01-31T12:00:03Z", "deleted": true, "answer": "replaced already"}, {"name": "diego-api-2",
"uid": "uid-2", "statefulset": "diego-api", "grace": 600, "intent": null, "deleted": false,
"answer": "spared"}, {"name": "diego-api-3", "uid": "uid-3", "statefulset": "diego-api", "grace": 600,
"intent": "2026-01-31T12:00:04Z", "deleted": false, "answer": "spared"}], "evidence": "bbs",
"executor": "me"}], "notes": []}
"""
"""What became of pods, in the words of version 1: gone, replaced, spared before an intent and after one."""

WAITING = """\
{"foundation": "cf", "version": 1, "epoch": 2, "request": {"due": "2026-01-31T12:16:30Z",
"alerts": {"a": {"alertname": "Alert-a", "starts_at": "2026-01-31T12:00:05Z",
"heard": "2026-01-31T12:00:10Z"}}, "person": {"by": "ann", "at": "2026-01-31T12:00:03Z", "observe": true},
"waits_for": "cooldown"}, "resolved": {"b": {"ended": "2026-01-31T12:00:09Z",
"heard": "2026-01-31T12:00:10Z"}}, "paused": {"by": "ann", "at": "2026-01-31T12:00:01Z",
"reason": "maintenance"}, "breaker_open": "2026-01-31T12:33:20Z", "breaker_reset": "2026-01-31T12:01:40Z",
"disruptions": [{"run": "cf-1", "started": "2026-01-31T12:00:50Z", "ended": "2026-01-31T12:01:30Z"},
{"run": "cf-2", "started": "2026-01-31T12:01:40Z", "ended": "2026-01-31T12:03:10Z"}, {"run": "cf-3",
"started": "2026-01-31T12:04:10.500000Z", "ended": "2026-01-31T12:04:50Z"}], "runs": [],
"notes": [{"at": "2026-01-31T12:00:01Z", "text": "paused by ann: maintenance", "count": 2}]}
"""
"""A queued request, a resolved alert, a pause, and a breaker that was reset before two of three restarts."""
