/** Lines of shell that make a container of another program behind the host veth `host`, a port of `bridge` if that is named. */
export function container(id: string, host: string, bridge: string, ...ips: string[]): string {
  const master = bridge === "" ? "" : `master ${bridge}`;
  return `
ip netns add ${id}; ip -n ${id} link set dev lo up
ip link add ${host} ${master} type veth peer name eth0 netns ${id}
ip link set dev ${host} up; ip -n ${id} link set dev eth0 up
${ips.map((ip) => `ip -n ${id} addr add ${ip} dev eth0 nodad`).join("\n")}
`;
}

/** The line of shell that leaves a container's namespace in place, but without a name that `ip` could enter, as `ctr` makes it. */
export function hide(id: string): string {
  return `touch /run/${id}; mount --bind /run/netns/${id} /run/${id}; ip netns del ${id}`;
}
