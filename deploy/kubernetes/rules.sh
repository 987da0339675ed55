# shellcheck shell=sh disable=SC2034,SC2154 # a part of node.sh, which has the other variables
# The network's nftables tables: loaded here with the image's nft, and at the next boot with the node's nft.

# compose_rules FILE: writes the output of `atomicni host-rules`; empty if the cluster masquerades elsewhere. Fails for a
# configuration that no node could use.
compose_rules() {
  direct=$(cat "$config/direct")
  ranges_of_cluster=$direct
  [ "$direct" != none ] || ranges_of_cluster=
  # shellcheck disable=SC2086 # the list is words
  on_host "$program" host-rules $ranges_of_cluster <"$scratch/conflist" >"$1" 2>"$scratch/said" ||
    { fail "An ADD would fail on this node: $(cat "$scratch/said")"; return 1; }
  [ "$direct" != none ] || : >"$1"
}

# tables NETWORK: prints a line `delete table` for each of its tables
tables() { nft list tables 2>/dev/null | sed -n "/ atomicni_$1\$/s/^/delete /p"; }

# The tables in the kernel, without counters.
rules_seen() {
  tables "$network" | while read -r _ table; do
    # shellcheck disable=SC2086 # the words "table", family and name
    nft -s list $table 2>/dev/null
  done | cksum
}

loaded=
# keep_rules FILE: loads it unless the kernel still has it; one transaction replaces all tables
keep_rules() {
  if [ ! -s "$1" ]; then
    drop_tables
    rm -f "$host/etc/atomicni/$network.nft"
    return
  fi
  put "$host/etc/atomicni/$network.nft" <"$1" || return 1
  [ -z "$loaded" ] || [ "$(rules_seen)" != "$loaded" ] || return 0
  before=$(tables "$network")
  nft -f "$1" 2>"$scratch/said" || { fail "Cannot load the rules: $(head -n 3 "$scratch/said")"; return 1; }
  [ -z "$loaded" ] || say "loaded again: the rules of network $network"
  loaded=$(rules_seen)
  [ -n "$before" ] || flush_flows
}

drop_tables() {
  tables "$network" >"$scratch/tables"
  nft -f "$scratch/tables"
}

# A flow that began without rules keeps the pod's own address as its source. Only such flows are flushed: those that
# are neither translated nor established.
flush_flows() {
  for subnet in $(echo "$ranges" | jq --raw-output '.[][].subnet'); do
    case $subnet in *:*) family=ipv6 ;; *) family=ipv4 ;; esac
    conntrack -L -f "$family" -s "$subnet" 2>/dev/null | awk -v family="$family" '
      $1 ~ /^icmp/ || / ESTABLISHED / { next }
      { split("", at); n = 0
        for (i = 1; i <= NF; i++) if ($i ~ /^(src|dst|sport|dport)=/) at[++n] = substr($i, index($i, "=") + 1)
        if (n == 8 && at[1] == at[6] && at[2] == at[5])
          print "conntrack -D -f", family, "-p", $1, "-s", at[1], "-d", at[2], "--sport", at[3], "--dport", at[4] }' |
      sh >/dev/null 2>&1 || :
  done
}

# Before this pod knows its ranges: loads the rules of the previous installation, for pods that already run.
restore_rules() {
  for file in "$host"/etc/atomicni/*.nft; do
    [ -s "$file" ] || continue
    name=${file##*/}
    nft list tables 2>/dev/null | grep -q " atomicni_${name%.nft}\$" || nft -f "$file" || :
  done
}
