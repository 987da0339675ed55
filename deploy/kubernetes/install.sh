# shellcheck shell=sh disable=SC2034,SC2154 # a part of node.sh, which has the other variables
# Installs: everything is checked before any part goes live. Then keeps it: missing or changed parts are restored.

# One pod at a time changes the node: the pod that started last. An older pod, which is ending, then changes nothing. A
# pod holds its own lock as long as it lives.
take_over() {
  exec 9>"$claim/lock"
  flock 9
  for other in "$claim"/*.alive; do is_alive "$other" || rm -f "$other"; done
  exec 8>"$claim/$POD_UID.alive"
  flock 8
  echo "$POD_UID" >"$claim/pod"
  flock -u 9
}

is_alive() { [ -e "$1" ] && ! flock --nonblock "$1" true; }
owner() { cat "$claim/pod" 2>/dev/null || :; }
has_node() { [ "$(owner)" = "$POD_UID" ]; }

# The wait for the lock is in the background, so a signal interrupts the shell, not that wait.
lock_node() {
  flock -w 120 9 &
  locker=$!
  while :; do
    result=0
    wait $locker || result=$?
    [ $result -gt 128 ] && kill -0 $locker 2>/dev/null || return $result
  done
}

# alone COMMAND...: runs it while no other pod changes the node; does nothing if another living pod has the node
alone() {
  lock_node || { fail "Another pod has been changing this node for two minutes"; return 1; }
  result=0
  has_node || is_alive "$claim/$(owner).alive" || echo "$POD_UID" >"$claim/pod"
  if has_node; then
    "$@" || result=$?
  else
    fail "Another pod of AtomicNI has this node now" || result=1
  fi
  flock -u 9
  return $result
}

install() {
  learn_ranges || return 1
  learn_owner || :
  compose || return 1
  runtime_reads || return 1
  plugins_run || return 1
  alone prepare || return 1
  alone put_all
}

# The new program is put next to the installed one under its build's own name; doctor checks it with the configuration.
prepare() {
  if [ "${PROGRAM:-install}" = keep ]; then
    program=$bin/atomicni
    [ -x "$host$program" ] || { fail "Cannot keep $program: it does not exist"; return 1; }
  else
    staged=$(DESTDIR="$host" sh "$here/install" --stage "$here/atomicni" "$host$bin" 2>"$scratch/said") ||
      { fail "Cannot put the program into $bin: $(cat "$scratch/said")"; return 1; }
    program=$bin/${staged##*/}
  fi
  compose_rules "$scratch/rules" || return 1
  clear_old_network || return 1
  would_work "$scratch/conflist" "$program" || return 1
  mkdir -p "$scratch/good"
  cp "$scratch/conflist" "$scratch/rules" "$scratch/good"
}

# The parts of a configuration without which leases and rules can't be found: name, bridge, state folder and ranges.
IDENTITY='. as $list | .plugins[] | select(.type == "atomicni") | { name: $list.name, bridge: (.bridge // "cni0"),
  dataDir: (.ipam.dataDir // "/var/lib/atomicni"), ranges: (.ipam.ranges // [.subnet, .subnet6] | map(arrays |= map({ subnet }))) }'

# As long as the node has pods of another network than the new one (other ranges, name, bridge or state folder), program,
# rules and bridge stay, and new pods get no address: another node may have those ranges now, and the new network does
# not know those pods. Without such pods, the old network's leases and bridge are removed.
clear_old_network() {
  old_network=
  [ -f "$conflist" ] || return 0
  before=$(jq --compact-output "$IDENTITY" "$conflist" 2>/dev/null) && [ -n "$before" ] || return 0
  after=$(jq --compact-output "$IDENTITY" "$scratch/conflist")
  [ "$before" != "$after" ] || return 0
  old_bridge=$(echo "$before" | jq --raw-output .bridge)
  if has_ports "$old_bridge"; then
    refuse_pods "the network of this node changed from $before to $after: drain it"
    fail "The network of node \"$NODE_NAME\" changed from $before to $after while it has pods: kubectl drain $NODE_NAME --ignore-daemonsets, and the pod then continues by itself"
    return 1
  fi
  say "the network changed from $before to $after; the node has no pods of the old one"
  forget_leases "$conflist"
  ip link del dev "$old_bridge" 2>/dev/null || :
  old_network=$(echo "$before" | jq --raw-output .name)
}

# Removes the rules of the network that the new one replaces.
clear_old_rules() {
  [ -n "${old_network:-}" ] && [ "$old_network" != "$network" ] || return 0
  tables "$old_network" >"$scratch/tables"
  nft -f "$scratch/tables"
  rm -f "$host/etc/atomicni/$old_network.nft" "$host/etc/systemd/system/multi-user.target.wants/atomicni-rules@$old_network.service"
  old_network=
}

# has_ports BRIDGE
has_ports() {
  ports=$(ip -j link show master "$1" 2>/dev/null | jq 'map(select(.ifname)) | length') || ports=
  [ "${ports:-0}" -gt 0 ]
}

# forget_leases CONFLIST: releases the leases of removed containers with a GC without a list
forget_leases() {
  jq '. as $list | .plugins[] | select(.type == "atomicni") | .ipam.type = "host-local" |
    . + { name: $list.name, cniVersion: "1.1.0" }' "$1" |
    on_host CNI_COMMAND=GC CNI_PATH="$bin" "$program" >"$scratch/gc" 2>&1 || say "warning: $(head -c 300 "$scratch/gc")"
}

# A runtime finds either the old conflist or the new one. The conflist is written last.
put_all() {
  keep_boot_files && keep_settings && keep_rules "$scratch/good/rules" && keep_program &&
    clear_old_rules && put "$conflist" <"$scratch/good/conflist" || return 1
  warn_of_others
  why=
  : >"$scratch/why"
}

seen_program() { stat -L -c '%i %s %Y %a' "$host$bin/atomicni" 2>/dev/null || :; }
kept=
keep_program() {
  [ "${PROGRAM:-install}" != keep ] || return 0
  [ -z "$kept" ] || [ "$(seen_program)" != "$kept" ] || return 0
  DESTDIR="$host" sh "$here/install" "$here/atomicni" "$host$bin" >"$scratch/said" 2>&1 ||
    { fail "Cannot put the program into $bin: $(cat "$scratch/said")"; return 1; }
  [ -z "$kept" ] || say "put back: $bin/atomicni"
  kept=$(seen_program)
}

keep() { alone put_all; }

# Whether the ranges of the node have changed; false if the API does not answer.
is_changed() {
  old=$ranges
  learn_ranges || return 1
  [ "$ranges" != "$old" ]
}

# The readiness probe: everything is installed, and an ADD would work.
is_ready() {
  [ -d "$scratch/good" ] || { echo "not installed: $(cat "$scratch/why" 2>/dev/null || :)"; exit 1; }
  [ -f "$conflist" ] || { echo "$conflist does not exist"; exit 1; }
  [ ! -s "$scratch/why" ] || { cat "$scratch/why"; exit 1; }
  would_work "$conflist" "$bin/atomicni"
}
