import { Fields, isObject, type JsonObject } from "../../base/fields.ts";
import { didYouMean } from "../nearest.ts";
import { type Finding, finding, warning } from "./finding.ts";

/** The top-level keys of a conflist. */
export const LIST_KEYS = [
  "cniVersion",
  "cniVersions",
  "name",
  "disableCheck",
  "disableGC",
  "loadOnlyInlinedPlugins",
  "plugins",
];

/** The keys of an object. `true` is any value without known keys, `Keys` an object or a list of objects. */
interface Keys {
  readonly [key: string]: true | Keys;
}

function keys(...names: readonly string[]): Keys {
  return Object.fromEntries(names.map((it) => [it, true]));
}

/** The keys of both dialects. A function, so that only `doctor` builds them and not every start of the plugin. */
function dialects(): { readonly own: Keys; readonly hostLocal: Keys } {
  const routes = keys("dst", "gw", "mtu", "advmss", "priority", "table", "scope");
  const range = keys("subnet", "rangeStart", "rangeEnd", "gateway");
  const ipam = { ...keys("type", "dataDir", "resolvConf"), routes };
  const both = {
    ...keys("cniVersion", "name", "type", "bridge", "mtu", "hairpinMode", "portIsolation"),
    ...keys("promiscMode", "macspoofchk", "disableContainerInterface"),
    dns: keys("nameservers", "domain", "search", "options"),
    // Keys that a runtime adds, and keys that other plugins read too.
    ...keys("args", "capabilities", "runtimeConfig", "prevResult"),
    ...keys("cni.dev/valid-attachments", "cni.dev/attachments"),
  };
  return {
    own: {
      ...both,
      ...keys("subnet", "gateway", "subnet6", "gateway6"),
      ipam: { ...ipam, ...keys("rangeStart", "rangeEnd", "rangeStart6", "rangeEnd6") },
    },
    hostLocal: {
      ...both,
      ...keys("isGateway", "isDefaultGateway", "forceAddress"),
      ipam: { ...ipam, ...range, ranges: range },
    },
  };
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
  return ignored(config, known).flatMap(({ path, key, keys, read }): Finding[] => {
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
    const place = placeOf(known, key);
    const remedy = place === undefined
      ? "take it out"
      : place === ""
      ? "move it to the top level"
      : 'move it into "ipam"';
    if (placeOf(others, key) === path.toLowerCase()) {
      return [warning("key", `${name} has no effect in ${dialect}`, remedy)];
    }
    const near = didYouMean(key, Object.keys(keys));
    return [warning("key", `${name} is not known, and is ignored`, near || remedy)];
  });
}

/** A key that an ADD ignores. */
interface Ignored {
  /** The path of its object: empty, or with a dot at the end. */
  readonly path: string;
  readonly key: string;
  /** The known keys of its object. */
  readonly keys: Keys;
  /** The spelling of the same key that is read instead. */
  readonly read?: string | undefined;
}

/** The ignored keys of a value. Keys match in any letter case, because configurations are read that way. */
function ignored(value: unknown, keys: Keys, path = ""): Ignored[] {
  if (Array.isArray(value)) {
    return value.flatMap((it, index) => ignored(it, keys, `${path.slice(0, -1)}[${index}].`));
  }
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, below]) => {
    const name = new Fields(keys).spelling(key);
    if (name === undefined) return [{ path, key, keys }];
    const read = new Fields(value).spelling(name);
    if (read !== key) return [{ path, key, keys, read }];
    const known = keys[name];
    return typeof known === "object" ? ignored(below, known, `${path}${key}.`) : [];
  });
}

/** The path of the object that has `key`: the top level or `ipam`. */
function placeOf({ ipam = true, ...keys }: Keys, key: string): "" | "ipam." | undefined {
  if (new Fields(keys).has(key)) return "";
  return ipam !== true && new Fields(ipam).has(key) ? "ipam." : undefined;
}
