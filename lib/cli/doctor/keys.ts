import { Fields, isObject, type JsonObject } from "../../base/fields.ts";
import { didYouMean } from "../wording.ts";
import { type Finding, finding, warning } from "./finding.ts";

/** The keys of each object by its path, in which a list counts as its elements. A key without a path has any value. */
type KnownKeys = Readonly<Record<string, readonly string[]>>;

/** The keys of both dialects. A function, so that only `doctor` builds them and not every start of the plugin. */
function dialects(): { readonly own: KnownKeys; readonly hostLocal: KnownKeys } {
  const range = ["subnet", "rangeStart", "rangeEnd", "gateway"];
  const top = [
    ...["cniVersion", "name", "type", "bridge", "mtu", "ipam", "dns", "hairpinMode"],
    ...["portIsolation", "promiscMode", "macspoofchk", "disableContainerInterface"],
    // Keys that a runtime adds, and keys that other plugins read too.
    ...["args", "capabilities", "runtimeConfig", "prevResult"],
    ...["cni.dev/valid-attachments", "cni.dev/attachments"],
  ];
  const ipam = ["type", "dataDir", "resolvConf", "routes"];
  const both = {
    dns: ["nameservers", "domain", "search", "options"],
    "ipam.routes": ["dst", "gw", "mtu", "advmss", "priority", "table", "scope"],
  };
  return {
    own: {
      ...both,
      "": [...top, "subnet", "gateway", "subnet6", "gateway6"],
      ipam: [...ipam, "rangeStart", "rangeEnd", "rangeStart6", "rangeEnd6"],
    },
    hostLocal: {
      ...both,
      "": [...top, "isGateway", "isDefaultGateway", "forceAddress"],
      ipam: [...ipam, ...range, "ranges"],
      "ipam.ranges": range,
    },
  };
}

/** The known key that `key` means. Keys match in any letter case, because configurations are read that way. */
function knownAs(keys: readonly string[] | undefined, key: string): string | undefined {
  return keys?.find((it) => it.toLowerCase() === key.toLowerCase());
}

/** Keys of the reference bridge that are accepted with their default value and then have no effect. */
const WITHOUT_EFFECT = /^(?:ipMasq|ipMasqBackend|vlan|vlanTrunk|preserveDefaultVlan|enabledad)$/i;

/** A warning for each key that an ADD would ignore. */
export function unknownKeys(config: JsonObject): Finding[] {
  const ipam = new Fields(config).get("ipam");
  const isHostLocal = isObject(ipam) && new Fields(ipam).get("type") === "host-local";
  const { own, hostLocal } = dialects();
  const [known, others] = isHostLocal ? [hostLocal, own] : [own, hostLocal];
  const dialect = isHostLocal
    ? 'a configuration with "ipam": {"type": "host-local"}'
    : "a configuration without ipam.type";
  return ignored(config, known).flatMap(({ path, place, key, read }): Finding[] => {
    const name = `"${path}${key}"`;
    if (read !== undefined) {
      return [warning("key", `${name} has no effect with "${path}${read}"`, "take it out")];
    }
    if (path === "" && WITHOUT_EFFECT.test(key)) {
      const value = config[key];
      // An ADD refuses a value other than the default, and doctor reports that error.
      if (Array.isArray(value) ? value.length > 0 : value) return [];
      const found =
        `${name} belongs to the reference bridge; its default value there has no effect here`;
      return [finding("note", "key", found)];
    }
    const remedy = knownAs(known[""], key) !== undefined
      ? "move it to the top level"
      : knownAs(known["ipam"], key) !== undefined
      ? 'move it into "ipam"'
      : "take it out";
    if (knownAs(others[place], key) !== undefined) {
      return [warning("key", `${name} has no effect in ${dialect}`, remedy)];
    }
    const near = didYouMean(key, known[place] ?? []);
    return [warning("key", `${name} is not known, and is ignored`, near || remedy)];
  });
}

/** A key that an ADD ignores. */
interface Ignored {
  /** The path of its object for messages: empty, or with a dot at the end. */
  readonly path: string;
  /** The path of its object in `Keys`. */
  readonly place: string;
  readonly key: string;
  /** The spelling of the same key that is read instead. */
  readonly read?: string | undefined;
}

function ignored(value: unknown, known: KnownKeys, path = "", place = ""): Ignored[] {
  if (Array.isArray(value)) {
    return value.flatMap((it, index) =>
      ignored(it, known, `${path.slice(0, -1)}[${index}].`, place)
    );
  }
  const keys = known[place];
  if (!isObject(value) || keys === undefined) return [];
  return Object.entries(value).flatMap(([key, below]) => {
    const name = knownAs(keys, key);
    if (name === undefined) return [{ path, place, key }];
    const read = new Fields(value).spelling(name);
    if (read !== key) return [{ path, place, key, read }];
    return ignored(below, known, `${path}${key}.`, place === "" ? name : `${place}.${name}`);
  });
}
