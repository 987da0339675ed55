#!/bin/sh
# shellcheck disable=SC2034,SC2154 # the parts that are read below have the other uses
# node.sh COMMAND: what the DaemonSet's pod does on its node.
#   run       installs, keeps it installed, and takes it away when the DaemonSet is deleted
#   modules   loads the kernel module that services need; for the init container
#   ready     the doctor's verdict on the installed configuration, for the readiness probe
#   doctor    the same in words: kubectl exec
#   serve     the metrics by HTTP on the port $PORT
# The node's folders are below $host, where its whole root is mounted read-only. The node's `ip` and its libraries are
# what the program has to work with, so the doctor is run in the node's root.
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

# fail WORDS: says once why it is not installed; `why` is what the probe and the metrics tell.
why=
fail() {
  [ "$why" = "$*" ] || say "$*" >&2
  why=$*
  printf '%s\n' "$why" >"$scratch/why"
  return 1
}

# Each part has functions alone.
for part in api configuration host rules install leave metrics; do
  # shellcheck disable=SC1090 # they are next to this file
  . "$here/$part.sh"
done

# nap SECONDS: less if a signal comes
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

# What is cheap to watch wakes the main loop: the files of the installation, and the end of a table.
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
    # The node's ranges are asked again now and then, not by all nodes at one time.
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
    # As the first process of a container, busybox itself would not end on a signal.
    trap 'exit 0' TERM INT
    # While a pod before this one still ends, it has the port.
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
