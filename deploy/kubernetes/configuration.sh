# shellcheck shell=sh disable=SC2034,SC2154 # a part of node.sh, which has the other variables
# The network's configuration for this node: composed, read as a runtime reads it, and checked by doctor.

# on_host COMMAND...: runs it in the node's own root, with a clean environment
on_host() { timeout 60 chroot "$host/" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

# The smallest MTU of the interfaces of the node's default routes.
uplink_mtu() {
  for dev in $(default_devices); do cat "/sys/class/net/$dev/mtu" 2>/dev/null || :; done | sort -n | head -n 1
}

default_devices() {
  { ip -4 -j route show default; ip -6 -j route show default; } 2>/dev/null | devices
}

# The interfaces of the routes on stdin, those with several next hops included.
devices() { jq --raw-output --slurp 'flatten | map(.dev, .nexthops[]?.dev | values) | unique[]'; }

READ='def bad(words): error(words);
  if type != "object" then bad("it is not an object")
  elif (.name | type) != "string" or (.name | test("^[A-Za-z0-9][A-Za-z0-9_.-]*$") | not) then bad("\"name\" has to be a name")
  elif (.cniVersion | type) != "string" then bad("\"cniVersion\" has to be a text")
  elif (.plugins | type) != "array" then bad("\"plugins\" has to be a list")
  elif [.plugins[] | select((.type? | type) != "string" or (.type | test("^[A-Za-z0-9._-]+$") | not))] != [] then bad("a plugin has no \"type\"")
  elif [.plugins[] | select(.type == "atomicni")] | length != 1 then bad("it needs one plugin \"atomicni\"")
  else (.plugins[] | select(.type == "atomicni")) as $own |
    "\(.name) \(.cniVersion) \($own.bridge // "cni0") \($own.ipam.dataDir // "/var/lib/atomicni")" end'

# Writes $scratch/conflist, and from it $network, $version, $bridge and $data.
compose() {
  [ "${MTU:-uplink}" != uplink ] && mtu=$MTU || mtu=$(uplink_mtu)
  sed -e "s|@RANGES@|$ranges|g" -e "s|@MTU@|${mtu:-1500}|g" "$config/conflist" >"$scratch/conflist"
  read=$(jq --raw-output "$READ" "$scratch/conflist" 2>&1) ||
    { fail "Cannot use the configuration: ${read#jq: }"; return 1; }
  # shellcheck disable=SC2086 # four words
  set -- $read
  network=$1 version=$2 bridge=$3 data=$4
}

# containerd_has KEY: the folders that the configuration of containerd names, each on a line; none if it names none
containerd_has() {
  sed -n "s/^[[:space:]]*$1s\{0,1\}[[:space:]]*=//p" "$host/etc/containerd/config.toml" 2>/dev/null |
    grep -o "[\"'][^\"']*[\"']" | tr -d "\"'"
}

# containerd of a distribution may look for plugins or configurations in other folders, and then fails every pod.
runtime_reads() {
  [ -S "$host/run/containerd/containerd.sock" ] || return 0
  for key in bin_dir conf_dir; do
    case $key in bin_dir) wanted=$bin name=BIN ;; *) wanted=$conf name=CONF ;; esac
    found=$(containerd_has $key)
    [ -z "$found" ] || echo "$found" | grep -qxF "$wanted" || {
      fail "Cannot use $wanted: /etc/containerd/config.toml has $key = $(echo "$found" | head -n 1). Set $name and its mounts to that folder, or change containerd"
      return 1
    }
  done
}

# Every plugin of the list exists, runs on this node and supports the list's version.
plugins_run() {
  for type in $(jq --raw-output '.plugins[].type | select(. != "atomicni")' "$scratch/conflist"); do
    [ -x "$host$bin/$type" ] || { fail "Cannot use the configuration: it names the plugin \"$type\", and $bin/$type does not exist"; return 1; }
    echo "{\"cniVersion\":\"$version\"}" | on_host CNI_COMMAND=VERSION "$bin/$type" >"$scratch/version" 2>&1 &&
      jq --exit-status --arg version "$version" '.supportedVersions | index($version)' "$scratch/version" >/dev/null 2>&1 ||
      { fail "Cannot use plugin \"$type\" for CNI $version: $(head -c 200 "$scratch/version")"; return 1; }
  done
}

# doctor CONFLIST PROGRAM: reports how an ADD would end on this node; the exit status is 0, or 1 with warnings
doctor() { on_host "$2" doctor <"$1"; }

# would_work CONFLIST PROGRAM: fails with the report of doctor
would_work() {
  verdict=0
  doctor "$1" "$2" >"$scratch/doctor" 2>&1 || verdict=$?
  case $verdict in
    0 | 1) return 0 ;;
    2) fail "An ADD would fail on this node: $(sed -n '/^error/,/^ *->/p' "$scratch/doctor")" ;;
    *) fail "The program does not run on this node: exit status $verdict: $(head -c 300 "$scratch/doctor")" ;;
  esac
}

# The runtime uses the first file by name.
warn_of_others() {
  first=$(find "$host$conf" -maxdepth 1 \( -name '*.conflist' -o -name '*.conf' -o -name '*.json' \) | LC_ALL=C sort | head -n 1)
  winner=
  [ "$first" = "$conflist" ] || winner=${first##*/}
  [ "$winner" = "${told-}" ] || [ -z "$winner" ] || say "warning: runtimes take $conf/$winner, which is before ${conflist##*/} by name"
  told=$winner
}
