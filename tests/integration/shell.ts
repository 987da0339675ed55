/**
 * Shell functions for the scripts that tests run on a host. Each does with one `ip` the work of many separate
 * calls.
 */

/**
 * `look_at NAMESPACE OPTION...` prints the settings of the host (`''`) or a container, one list of `ip -j` per
 * line: interfaces, IPv4 routes, IPv6 routes, permanent neighbours. It starts one process, and uses the real `ip` even
 * if a test has replaced it.
 */
export const LOOK_AT = `
look_at() {
  ip=/run/ip.real; [ -x $ip ] || ip=ip
  at=$1; shift
  $ip \${at:+-n "$at"} "$@" -j -force -batch - <<X
addr show
route show table all root 0.0.0.0/0
route show table all root ::/0
neigh show nud permanent
X
}`;

/**
 * `links PREFIX` prints the names of all links except lo, each after PREFIX; `remove_all` removes containers and links,
 * as far as a batch can hold their names.
 */
export const REMOVE_ALL = `
links() {
  ip -o link show | while read -r _ it _; do
    it=\${it%%[@:]*}; [ "$it" = lo ] || printf '%s\\n' "$1$it"
  done
}
remove_all() {
  {
    for it in /run/netns/*; do echo "netns del \${it##*/}"; done
    links 'link del dev '
  } | ip -force -batch - 2>/dev/null || :
}`;
