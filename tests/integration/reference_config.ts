/** A configuration of the reference plugins bridge + host-local, for a test to change. */
export const REFERENCE = {
  cniVersion: "1.1.0",
  name: "podnet",
  type: "atomicni",
  bridge: "atomic0",
  isGateway: true,
  ipam: { type: "host-local", subnet: "10.86.0.0/24", routes: [{ dst: "0.0.0.0/0" }] },
};
