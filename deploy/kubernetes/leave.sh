# shellcheck shell=sh disable=SC2034,SC2154 # a part of node.sh, which has the other variables
# Removes the installation when the DaemonSet is deleted, not when its pod is replaced or the node is drained.

# The runtime can still end pods, which needs a configuration; an ADD fails with this message.
# refuse_pods WORDS
refuse_pods() {
  jq --arg words "$1" '(.plugins[] | select(.type == "atomicni") | .ipam.type) = $words' "$conflist" >"$scratch/refusing" &&
    put "$conflist" <"$scratch/refusing"
}

# After a reboot, leases of earlier pods are left. A pod that the kernel shows as gone is not waited for.
has_containers() {
  if has_ports "$bridge"; then return 0; fi
  has_leases || return 1
  program=$bin/atomicni
  forget_leases "$conflist"
  has_leases
}
has_leases() { jq --exit-status '.containerToIP | length > 0' "$host$data/$network.json" >/dev/null 2>&1; }

# A pod that never installed anything reads the network from the conflist of its predecessor.
know_network() {
  [ -z "${network-}" ] || return 0
  ranges='[]'
  # shellcheck disable=SC2046 # four words
  set -- $(jq --raw-output "$READ" "$conflist" 2>/dev/null)
  [ $# -eq 4 ] || return 1
  network=$1 bridge=$3 data=$4
}

leave() {
  # Also ignores the signal of the main loop: a trap inside a trap would change the shell's exit status.
  trap '' TERM INT USR1
  is_deleted || { say "the DaemonSet stays: nothing removed"; return; }
  has_node || { say "another pod has this node: nothing removed"; return; }
  if know_network; then
    [ ! -f "$conflist" ] || alone refuse_pods "AtomicNI is leaving this node" || return 0
    wait_for_end || return 0
  fi
  alone remove || say "nothing removed: $why"
}

# Waits until no container has existed for some seconds, in which an ADD that began earlier would show.
wait_for_end() {
  left=${PATIENCE:-570} quiet=0 is_waiting=no
  while [ "$quiet" -lt "${QUIET:-3}" ]; do
    if has_containers; then
      [ "$is_waiting" = yes ] || say "waiting for the containers of this node to end"
      is_waiting=yes quiet=0
    else
      quiet=$((quiet + 1))
    fi
    has_node || { say "another pod has this node: nothing removed"; return 1; }
    [ $((left % 10)) -ne 0 ] || is_deleted || is_unanswered || { stay; return 1; }
    [ "$left" -gt 0 ] || { say "kept for containers that are left: $conflist and $bin/atomicni"; return 1; }
    left=$((left - 1))
    sleep 1
  done
  is_deleted || { stay; return 1; }
}

# An incomplete answer proves neither that the DaemonSet is deleted nor that it exists.
is_unanswered() { [ "$status" != 200 ]; }

stay() {
  say "the DaemonSet exists again, or the API does not answer: nothing removed"
  alone keep_good || :
}

keep_good() { [ ! -f "$scratch/good/conflist" ] || put "$conflist" <"$scratch/good/conflist"; }

remove() {
  rm -f "$conflist"
  if [ -n "${network-}" ]; then
    drop_tables
    rm -f "$host/etc/atomicni/$network.nft"
    ip link del dev "$bridge" 2>/dev/null || :
  fi
  remove_boot_files
  [ "${PROGRAM:-install}" = keep ] || rm -rf "$host$bin/atomicni" "$host$bin"/.atomicni-* "$host$bin"/.atomicni.*
  rm -f "$claim/pod" "$claim"/*.alive
  say "removed: $conflist and $bin/atomicni"
}
