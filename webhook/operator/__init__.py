"""`diego-runbook`: the operator's commands."""
