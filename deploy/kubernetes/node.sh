#!/bin/sh
# shellcheck disable=SC2034,SC2154 # the other parts, read below, use these variables
# node.sh COMMAND: the commands of the DaemonSet's pod on its node.
#   run       installs, keeps it installed, and removes it when the DaemonSet is deleted
#   modules   loads the kernel module that services need; for the init container
#   ready     checks the installed configuration with doctor, for the readiness probe
#   doctor    prints that report, for kubectl exec
#   serve     the metrics by HTTP on the port $PORT
# The node's folders are below $host, where its whole root is mounted read-only. The program uses the node's `ip` and
# libraries, so doctor runs in the node's root.
set -eu
here=$(dirname "$0")
host=${HOST-/host}
config=${CONFIG:-/config}
scratch=${SCRATCH:-/tmp}
metrics=${METRICS:-/metrics}
bin=${BIN:-/opt/cni/bin}
conf=${CONF:-/etc/cni/net.d}
conflist=$host$conf/${CONFLIST:-10-atomicni.conflist}
claim=$host/run/atomicni

say() { echo "$(date -u +%FT%TZ) $*"; }

# fail WORDS: logs once why the installation failed; the probe and the metrics report `why`.
why=
fail() {
  [ "$why" = "$*" ] || say "$*" >&2
  why=$*
  printf '%s\n' "$why" >"$scratch/why"
  return 1
}

# Each part contains only functions.
for part in api configuration host rules install leave metrics; do
  # shellcheck disable=SC1090 # they are next to this file
  . "$here/$part.sh"
done

# nap SECONDS: sleeps, shorter if a signal comes
nap() {
  if [ "$woken" = no ]; then
    sleep "$1" &
    wait $! || :
    kill $! 2>/dev/null || :
  else
    sleep 0.2
  fi
  woken=no
}

# Wakes the main loop when a file of the installation changes or a table is deleted, which are cheap to watch.
watch() {
  { inotifywait -q -m -e close_write,move,delete "$host$conf" "$host$bin" "$host/etc/sysctl.d" "$host/etc/atomicni" 2>/dev/null || :; } |
    while read -r _; do kill -USR1 $$; done &
  { nft monitor tables 2>/dev/null || :; } | while read -r event _; do [ "$event" != delete ] || kill -USR1 $$; done &
}

run() {
  woken=no
  trap 'woken=yes' USR1
  trap 'leave; exit 0' TERM INT
  rm -rf "$scratch/good"
  take_over
  restore_rules || :
  pause=1
  until install; do
    note_metrics 0
    nap "$pause"
    pause=$((pause < 15 ? pause * 2 : 30))
  done
  say "installed: $conflist with $ranges"
  watch
  asked=$(date +%s)
  while :; do
    note_metrics 1
    nap 30
    # The node's ranges are read again from time to time, not by all nodes at the same time.
    if [ $(($(date +%s) - asked)) -gt $((600 + $$ % 60)) ]; then
      asked=$(date +%s)
      if is_changed; then
        say "the node's ranges are $ranges now"
        until install; do
          note_metrics 0
          nap 30
        done
      fi
    fi
    keep || :
  done
}

case ${1:-} in
  run) run ;;
  modules) load_modules ;;
  ready) is_ready ;;
  doctor) doctor "$conflist" "$bin/atomicni" ;;
  serve)
    # As the first process of a container, busybox alone would ignore the signal.
    trap 'exit 0' TERM INT
    # The previous pod keeps the port until it has ended.
    while :; do
      busybox httpd -f -p "${PORT:-9437}" -h "$metrics" 2>/dev/null &
      wait $! || :
      sleep 2 &
      wait $! || :
    done
    ;;
  *)
    echo "node.sh run|modules|ready|doctor|serve" >&2
    exit 2
    ;;
esac
