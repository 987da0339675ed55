/** Plugins that people commonly chain after this one. */

/** Bits per second and bits. */
export const RATE = 8_000_000;
export const BURST = 800_000;

export const BANDWIDTH = {
  type: "bandwidth",
  ingressRate: RATE,
  ingressBurst: BURST,
  egressRate: RATE,
  egressBurst: BURST,
};
/** `ctr` passes no ports, so the configuration has them. */
export const PORTMAP = {
  type: "portmap",
  snat: true,
  runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] },
};
export const FIREWALL = { type: "firewall", backend: "iptables" };
