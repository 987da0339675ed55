# shellcheck shell=sh disable=SC2034,SC2154 # a part of node.sh, which has the other variables
# Installs: everything is tried before anything of it is live. Then keeps it: what is missing or changed is put back.

# One pod at a time changes the node, and the pod that began last has it: another, which is ending, then keeps its hands
# off. A pod holds a lock of its own for as long as it lives.
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

# The lock is waited for in the background: a signal ends the wait of the shell, not the wait for the lock.
lock_node() {
  flock -w 120 9 &
  locker=$!
  while :; do
    result=0
    wait $locker || result=$?
    [ $result -gt 128 ] && kill -0 $locker 2>/dev/null || return $result
  done
}

# alone COMMAND...: while no other pod changes the node; does nothing on a node that another living pod has
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
  plugins_run || return 1
  alone prepare || return 1
  alone put_all
}

# The program lies next to the installed one, under a name of its own build; the doctor tries it with the configuration.
prepare() {
  if [ "${PROGRAM:-install}" = keep ]; then
    program=$bin/atomicni
    [ -x "$host$program" ] || { fail "Cannot keep $program: it is not there"; return 1; }
  else
    staged=$(sh "$here/install" --stage "$here/atomicni" "$host$bin" 2>"$scratch/said") ||
      { fail "Cannot put the program into $bin: $(cat "$scratch/said")"; return 1; }
    program=$bin/${staged##*/}
  fi
  clear_old_range || return 1
  would_work "$scratch/conflist" "$program" || return 1
  compose_rules "$scratch/rules" || return 1
  mkdir -p "$scratch/good"
  cp "$scratch/conflist" "$scratch/rules" "$scratch/good"
}

# Pods with addresses of a range that the node had before keep program, rules and bridge; new pods get no address at
# all, because that range may be another node's. Without such pods nothing of the old range is needed any longer.
clear_old_range() {
  [ -f "$conflist" ] || return 0
  before=$(jq --compact-output '.plugins[] | select(.type == "atomicni") | .ipam.ranges // [] | map(map({ subnet }))' "$conflist" 2>/dev/null) || return 0
  [ -n "$before" ] && [ "$before" != "$ranges" ] || return 0
  if has_ports; then
    refuse_pods "the ranges of this node changed from $before to $ranges: drain it"
    fail "The ranges of node \"$NODE_NAME\" changed from $before to $ranges while pods have addresses of the old ones: kubectl drain $NODE_NAME --ignore-daemonsets, and this goes on by itself"
    return 1
  fi
  say "the ranges changed from $before to $ranges; no pod has an address of the old ones"
  forget_leases "$conflist"
  ip link del dev "$bridge" 2>/dev/null || :
}

has_ports() {
  ports=$(ip -j link show master "$bridge" 2>/dev/null | jq 'map(select(.ifname)) | length') || ports=
  [ "${ports:-0}" -gt 0 ]
}

# forget_leases CONFLIST: the leases of containers that are gone, as a runtime's GC without a list does it
forget_leases() {
  jq '. as $list | .plugins[] | select(.type == "atomicni") | .ipam.type = "host-local" |
    . + { name: $list.name, cniVersion: "1.1.0" }' "$1" |
    on_host CNI_COMMAND=GC CNI_PATH="$bin" "$program" >"$scratch/gc" 2>&1 || say "warning: $(head -c 300 "$scratch/gc")"
}

# A runtime finds the old conflist or the new one; it comes last.
put_all() {
  keep_boot_files && keep_settings && keep_rules "$scratch/good/rules" && keep_program &&
    put "$conflist" <"$scratch/good/conflist" || return 1
  warn_of_others
  why=
  : >"$scratch/why"
}

seen_program() { stat -L -c '%i %s %Y %a' "$host$bin/atomicni" 2>/dev/null || :; }
kept=
keep_program() {
  [ "${PROGRAM:-install}" != keep ] || return 0
  [ -z "$kept" ] || [ "$(seen_program)" != "$kept" ] || return 0
  sh "$here/install" "$here/atomicni" "$host$bin" >"$scratch/said" 2>&1 ||
    { fail "Cannot put the program into $bin: $(cat "$scratch/said")"; return 1; }
  [ -z "$kept" ] || say "put back: $bin/atomicni"
  kept=$(seen_program)
}

keep() { alone put_all; }

# Whether the node has other ranges than before; no answer is none.
is_changed() {
  old=$ranges
  learn_ranges || return 1
  [ "$ranges" != "$old" ]
}

# What the readiness probe asks: it is installed, and an ADD would work.
is_ready() {
  [ -d "$scratch/good" ] || { echo "not installed: $(cat "$scratch/why" 2>/dev/null || :)"; exit 1; }
  [ -f "$conflist" ] || { echo "$conflist is not there"; exit 1; }
  [ ! -s "$scratch/why" ] || { cat "$scratch/why"; exit 1; }
  would_work "$conflist" "$bin/atomicni"
}
