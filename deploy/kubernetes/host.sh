# shellcheck shell=sh disable=SC2034,SC2154 # a part of node.sh, which has the other variables
# The node's own settings and files: forwarding, router advertisements, files for its next boot.

# put FILE: replaces it with stdin by rename, unless the content is the same
put() {
  cat >"$scratch/put"
  ! cmp -s "$scratch/put" "$1" || return 0
  rm -f "$1".??????
  new=$(mktemp "$1.XXXXXX") && cat "$scratch/put" >"$new" && chmod 644 "$new" && sync "$new" && mv "$new" "$1" ||
    { fail "Cannot write $1"; return 1; }
  say "written: $1"
}

has_ipv4() { echo "$ranges" | jq --exit-status 'any(.[][].subnet; contains(":") | not)' >/dev/null; }
has_ipv6() { echo "$ranges" | jq --exit-status 'any(.[][].subnet; contains(":"))' >/dev/null; }

# The interfaces that learn routes from router advertisements, and would stop when IPv6 forwarding is enabled: those of
# the routing table, and those already in the file. With accept_ra = 0, a program handles the advertisements instead.
advertised_devices() {
  sed -n 's|^-net/ipv6/conf/\(.*\)/accept_ra = 2$|\1|p' "$host/etc/sysctl.d/90-atomicni.conf" 2>/dev/null || :
  {
    ip -6 -j route show proto ra
    [ "$(cat "$host/proc/sys/net/ipv6/conf/all/forwarding")" = 1 ] || ip -4 -j route show default
  } 2>/dev/null | devices | while read -r dev; do
    [ "$dev" = "$bridge" ] || [ "$(cat "$host/proc/sys/net/ipv6/conf/$dev/accept_ra" 2>/dev/null)" != 1 ] || echo "$dev"
  done
}

# The settings in the form of sysctl.d. Those of an interface come before forwarding.
settings() {
  if has_ipv6; then advertised_devices | sort -u | sed 's|.*|-net/ipv6/conf/&/accept_ra = 2|'; fi
  if has_ipv4; then echo "net/ipv4/ip_forward = 1"; fi
  if has_ipv6; then echo "net/ipv6/conf/all/forwarding = 1"; fi
  echo "-net/ipv6/conf/$bridge/accept_ra = 0"
  echo "-net/bridge/bridge-nf-call-iptables = 1"
  echo "-net/bridge/bridge-nf-call-ip6tables = 1"
}

keep_settings() {
  settings >"$scratch/settings"
  while read -r key _ value; do
    file=$host/proc/sys/${key#-}
    [ -e "$file" ] || continue
    [ "$(cat "$file")" = "$value" ] || { echo "$value" >"$file" && say "set: ${key#-} = $value"; } ||
      { fail "Cannot set ${key#-} = $value"; return 1; }
  done <"$scratch/settings"
  { echo "# Written by the DaemonSet of AtomicNI."; cat "$scratch/settings"; } | put "$host/etc/sysctl.d/90-atomicni.conf"
}

# For the next boot: before the kubelet starts pods, systemd creates the folders and loads the module and the rules.
keep_boot_files() {
  chmod 700 "$host/var/lib/atomicni"
  put "$host/etc/tmpfiles.d/atomicni.conf" <"$here/atomicni.tmpfiles" || return 1
  put "$host/etc/modules-load.d/atomicni.conf" <"$here/atomicni.modules" || return 1
  put "$host/etc/systemd/system/atomicni-rules@.service" <"$here/atomicni-rules@.service" || return 1
  mkdir -p "$host/etc/systemd/system/multi-user.target.wants"
  [ -L "$host/etc/systemd/system/multi-user.target.wants/atomicni-rules@$network.service" ] ||
    ln -sf ../atomicni-rules@.service "$host/etc/systemd/system/multi-user.target.wants/atomicni-rules@$network.service"
}

remove_boot_files() {
  rm -f "$host"/etc/systemd/system/multi-user.target.wants/atomicni-rules@*.service "$host/etc/systemd/system/atomicni-rules@.service"
  rm -f "$host/etc/sysctl.d/90-atomicni.conf" "$host/etc/tmpfiles.d/atomicni.conf" "$host/etc/modules-load.d/atomicni.conf"
}

# Services that a pod reaches on its own node need the module; the kernel may have it built in.
load_modules() {
  has_module() { [ -e "$host/proc/sys/net/bridge/bridge-nf-call-iptables" ]; }
  has_module || modprobe br_netfilter || :
  has_module || [ "${BR_NETFILTER:-needed}" = unneeded ] ||
    { echo "Cannot load the module br_netfilter: pods would not reach services of pods on their own node. Set BR_NETFILTER=unneeded if no service needs it" >&2; exit 1; }
}
