"""`diego-runbook explain`: the runbook for one foundation, with kubectl commands."""

from exporter.config.model import Foundation


def explain_lines(foundation: Foundation) -> list[str]:
    """The eight steps of docs/runbook.md, and what diego-medic adds to each."""
    namespace = foundation.namespace
    host, port = foundation.bbs.host, foundation.bbs.port
    api = foundation.cloud_controller.statefulset[0]
    container = f" -c {foundation.cloud_controller.container}" if foundation.cloud_controller.container else ""
    key = foundation.diego_api.active_label.key
    remediation = foundation.remediation
    confirm, verify = remediation.confirm, remediation.verify
    check = f"kubectl exec -n {namespace} {api}-0{container} -- nc -zv {host} {port}"
    lines = [
        f"The runbook for foundation {foundation.name} ({foundation.profile}), mode {remediation.mode or 'not set'}.",
        "Source: IBM, Debugging an unavailable stager (CFEE). Symptom: 503, CF-StagerUnavailable, code 170010.",
        "",
        f"1. Check the {api} pods: is the Cloud Controller available?",
        f"     kubectl get pod -n {namespace}",
        f"2. They should be Running and fully ready, e.g. {api}-0 2/2. If none is: unproven, nothing is deleted.",
        f"3. Exec into {api}-0, and up to two more ready {api} pods.",
        f"4. There, {confirm.attempts} times, {confirm.interval:g} s apart: does it reach the BBS?",
        f"     {check}",
        "   Every attempt from every pod must be refused, time out or have no route; else nothing is deleted.",
        "   Then save the logs of the pods to be deleted, because the restart destroys them.",
        "5. Delete the pods, by UID; Kubernetes recreates them. Not if a BBS accepts connections, two are active,",
        f"   a rollout is in progress, or it is refused (pause, breaker, more than {remediation.max_pods} pods).",
    ]
    lines += [f"     kubectl delete pod -n {namespace} {name}-0   # and {name}-1, …" for name in foundation.restart]
    if len(foundation.restart) > 1:
        lines.append(
            f"   In this order, waiting for each; {foundation.restart[-1]} only if the BBS is still unreachable then."
        )
    lines += [
        "6. Wait until they are Running and fully ready, and exactly one is marked active.",
        f"     kubectl get pod -n {namespace} -L {key}",
        f"7. Check again from the Cloud Controller, {verify.attempts} times in a row, within {verify.timeout:g} s.",
        f"     {check}",
        "8. The environment is ready to stage apps. `recovered` is reported only if this was verified.",
    ]
    return lines
