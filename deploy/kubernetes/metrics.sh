# shellcheck shell=sh disable=SC2034,SC2154 # a part of node.sh, which has the other variables
# Metrics as text for Prometheus: the program's metrics of its pools, and the state of the installation.

# gauge NAME HELP VALUE
gauge() { printf '# HELP %s %s\n# TYPE %s gauge\n%s %s\n' "$1" "$2" "$1" "$1" "$3"; }

# note_metrics INSTALLED: writes the metrics atomically by rename
note_metrics() {
  [ -d "$metrics" ] || return 0
  ready=0
  if [ "$1" = 1 ] && (is_ready) >"$scratch/probe" 2>&1; then ready=1; fi
  {
    if [ "$1" = 1 ]; then on_host "$bin/atomicni" status --metrics 2>/dev/null | sed '/^# EOF$/d' || :; fi
    gauge atomicni_node_installed "1 once the pod has installed program, configuration and rules" "$1"
    gauge atomicni_node_ready "1 if the doctor found that an ADD would work" "$ready"
    gauge atomicni_node_overruled "1 if runtimes take another configuration, which comes first by name" "$([ -n "${winner-}" ] && echo 1 || echo 0)"
    gauge atomicni_node_checked_timestamp_seconds "when this was written" "$(date +%s)"
  } >"$metrics/.new"
  mv "$metrics/.new" "$metrics/metrics.txt"
}
