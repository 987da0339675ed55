import { Fields, isObject, type JsonObject } from "../../base/fields.ts";
import { didYouMean } from "../nearest.ts";
import { type Finding, finding } from "./finding.ts";

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

/** The keys of an object. `true` is a plain value, `null` any value, `Keys` an object or a list of objects. */
interface Keys {
  readonly [key: string]: true | null | Keys;
}

const ROUTE: Keys = {
  dst: true,
  gw: true,
  mtu: true,
  advmss: true,
  priority: true,
  table: true,
  scope: true,
};
const RANGE: Keys = { subnet: true, rangeStart: true, rangeEnd: true, gateway: true };

const BOTH: Keys = {
  cniVersion: true,
  name: true,
  type: true,
  bridge: true,
  mtu: true,
  hairpinMode: true,
  portIsolation: true,
  promiscMode: true,
  macspoofchk: true,
  disableContainerInterface: true,
  dns: { nameservers: true, domain: true, search: true, options: true },
  // Keys that a runtime adds, and keys that other plugins read too.
  args: null,
  capabilities: null,
  runtimeConfig: null,
  prevResult: null,
  "cni.dev/valid-attachments": null,
  "cni.dev/attachments": null,
};

/** A function, so that only `doctor` builds the table and not every start of the plugin. */
const own = (): Keys => ({
  ...BOTH,
  subnet: true,
  gateway: true,
  subnet6: true,
  gateway6: true,
  ipam: {
    type: true,
    dataDir: true,
    rangeStart: true,
    rangeEnd: true,
    rangeStart6: true,
    rangeEnd6: true,
    routes: ROUTE,
    resolvConf: true,
  },
});

const hostLocal = (): Keys => ({
  ...BOTH,
  isGateway: true,
  isDefaultGateway: true,
  forceAddress: true,
  ipam: {
    type: true,
    dataDir: true,
    routes: ROUTE,
    ranges: RANGE,
    ...RANGE,
    resolvConf: true,
  },
});

/** Keys of the reference bridge that are accepted with their default value and then have no effect. */
const WITHOUT_EFFECT = [
  "ipMasq",
  "ipMasqBackend",
  "vlan",
  "vlanTrunk",
  "preserveDefaultVlan",
  "enabledad",
];

/** A warning for each key that an ADD would ignore. */
export function unknownKeys(config: JsonObject): Finding[] {
  const ipam = new Fields(config).get("ipam");
  const isHostLocal = isObject(ipam) && new Fields(ipam).get("type") === "host-local";
  const [keys, others] = isHostLocal ? [hostLocal(), own()] : [own(), hostLocal()];
  const dialect = isHostLocal
    ? 'a configuration with "ipam": {"type": "host-local"}'
    : "a configuration without ipam.type";
  return look(config, keys, "", (path, key, known) => {
    if (path === "" && WITHOUT_EFFECT.some((it) => it.toLowerCase() === key.toLowerCase())) {
      // An ADD refuses a value other than the default, and doctor reports that error.
      if (isSet(config[key])) return undefined;
      return finding(
        "note",
        "key",
        `"${key}" belongs to the reference bridge; its default value there has no effect here`,
      );
    }
    if (isKeyOf(others, path, key)) {
      return finding(
        "warning",
        "key",
        `"${path}${key}" has no effect in ${dialect}`,
        where(keys, key),
      );
    }
    return finding(
      "warning",
      "key",
      `"${path}${key}" is not known, and is ignored`,
      didYouMean(key, Object.keys(known)) || where(keys, key),
    );
  });
}

function look(
  value: unknown,
  keys: Keys,
  path: string,
  tell: (path: string, key: string, known: Keys) => Finding | undefined,
): Finding[] {
  if (Array.isArray(value)) {
    return value.flatMap((it, index) =>
      look(it, keys, `${path.replace(/\.$/, "")}[${index}].`, tell)
    );
  }
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, below]) => {
    const name = new Fields(keys).spelling(key) ?? key;
    const known = at(keys, name);
    if (known === undefined) return tell(path, key, keys) ?? [];
    const read = new Fields(value).spelling(name);
    if (read !== key) {
      const found = `"${path}${key}" has no effect with "${path}${read}"`;
      return [finding("warning", "key", found, "take it out")];
    }
    return isKeys(known) ? look(below, known, `${path}${key}.`, tell) : [];
  });
}

/** The entry of `key` in any letter case, because configurations are read that way. */
function at(keys: Keys, key: string): Keys[string] | undefined {
  const spelt = new Fields(keys).spelling(key);
  return spelt === undefined ? undefined : keys[spelt];
}

function isSet(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

function isKeys(known: Keys[string]): known is Keys {
  return known !== true && known !== null;
}

/** Whether the other dialect has `key` at `path`. */
function isKeyOf(dialect: Keys, path: string, key: string): boolean {
  if (path === "") return at(dialect, key) !== undefined;
  const below = dialect["ipam"];
  return path.toLowerCase() === "ipam." && below !== undefined && isKeys(below) &&
    at(below, key) !== undefined;
}

/** The remedy for a key that has no effect at its place. */
function where(keys: Keys, key: string): string {
  if (at(keys, key) !== undefined) return `move it to the top level`;
  const ipam = keys["ipam"];
  if (ipam !== undefined && isKeys(ipam) && at(ipam, key) !== undefined) {
    return `move it into "ipam"`;
  }
  return "take it out";
}
