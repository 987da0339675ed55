import type { Ip } from "../base/address.ts";
import type { Fields } from "../base/fields.ts";
import { type Mac, parseMac } from "../base/mac.ts";
import { type CniArgs, parseRequestedIp } from "./cni_args.ts";

/** Rule C3, after CONVENTIONS: `runtimeConfig.ips`, else `args.cni.ips`, else `IP` of CNI_ARGS; each address once. */
export function readRequestedIps(root: Fields, args: CniArgs): readonly Ip[] {
  for (const fields of [root.object("runtimeConfig"), conventionalArgs(root)]) {
    const ips = new Set(fields.list("ips", parseRequestedIp));
    if (ips.size > 0) return [...ips];
  }
  return args.ip === undefined ? [] : [args.ip];
}

/** Rule C2: `runtimeConfig.mac`, then `args.cni.mac`, then `MAC` of CNI_ARGS. */
export function readRequestedMac(root: Fields, args: CniArgs): Mac | undefined {
  return root.object("runtimeConfig").unlessEmpty("mac", parseMac) ??
    conventionalArgs(root).unlessEmpty("mac", parseMac) ?? args.mac;
}

function conventionalArgs(root: Fields): Fields {
  return root.object("args").object("cni");
}
