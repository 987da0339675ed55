import { CniError, quote } from "../base/errors.ts";
import { type Fields, parseInteger, parseList, parseString } from "../base/fields.ts";

/** Keys of the reference bridge that `ip` inside the scope can't implement, each with its alternative. Throws UnsupportedField. */
export function refuseUnsupported(root: Fields): void {
  const ipam = root.object("ipam");
  const isSet: Readonly<Record<string, boolean>> = {
    ipMasq: root.boolean("ipMasq"),
    vlan: (root.optional("vlan", parseInteger(-4096, 65535)) ?? 0) !== 0,
    vlanTrunk: (root.optional("vlanTrunk", parseList) ?? []).length > 0,
    enabledad: root.boolean("enabledad"),
  };
  for (const [key, remedy] of Object.entries(INSTEAD)) {
    if (isSet[key]) refuse(root, key, remedy);
  }
  const type = ipam.optional("type", parseString) ?? "";
  if (type !== "" && type !== "host-local") {
    refuse(
      ipam,
      "type",
      'leave it out, or use "host-local": addresses are given by this plugin itself',
    );
  }
}

const INSTEAD: Readonly<Record<string, string>> = {
  ipMasq:
    "set it to false and masquerade by subnet: atomicni host-rules < CONFIGURATION prints the nftables file",
  vlan: "leave it out and give each VLAN a bridge of its own, with the VLAN device as a port",
  vlanTrunk: "leave it out; for trunks use the reference bridge plugin",
  enabledad: "leave it out: an address has one lease, so nothing has to be asked on the link",
};

function refuse(fields: Fields, key: string, remedy: string): never {
  throw new CniError(
    "UnsupportedField",
    `Cannot do "${fields.at}${key}": ${quote(fields.get(key))}: not supported by this plugin`,
    { details: remedy },
  );
}
