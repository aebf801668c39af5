#!/bin/bash
# The documented commands as a person would put them into a script, with the time of each part on stdout.
# usage: recovery.sh HOST PORT
set -uo pipefail

asks() { kubectl exec -n cf api-0 -c api -- env LC_ALL=C nc -zv -w 5 "$1" "$2" >/dev/null 2>&1; }
ready() {
  kubectl get pod -n cf -L skiff-role-active --no-headers | awk '
    /^diego-api-/ { pods++; if ($2 == "2/2" && $3 == "Running") ready++; if ($NF == "true") active++ }
    END { exit !(pods == 2 && ready == 2 && active == 1) }'
}

began=$(date +%s.%N)
kubectl get pod -n cf >/dev/null || exit 1
asks "$1" "$2" && { echo "the BBS is reachable" >&2; exit 1; }
restart=$(date +%s.%N)
kubectl delete pod -n cf diego-api-0 diego-api-1 >/dev/null || exit 1
until ready; do sleep 0.2; done
restarted=$(date +%s.%N)
until asks "$1" "$2"; do sleep 0.2; done
echo "$began $restart $restarted $(date +%s.%N)"
