import { dirname, isAbsolute, normalize } from "@std/path/posix";
import { CniError, orIoError, quote } from "../base/errors.ts";
import { type Fields, parseString } from "../base/fields.ts";
import { STATE_FOLDER } from "../base/scope.ts";
import type { Dns } from "../result.ts";

/**
 * `ipam.dataDir`: the state folder or one below it, after `..` is folded (docs/configure.md). No component may begin with
 * a dot, because it would not be listed, or end like a state or lock file, because other networks have such files.
 */
export function parseDataDir(root: Fields): string {
  const ipam = root.object("ipam");
  const remedy =
    `leave it out, or name ${STATE_FOLDER} or a folder below it: nothing else is in the permission scope`;
  const given = ipam.optional("dataDir", parseString, remedy) ?? "";
  if (given === "") return STATE_FOLDER;
  const folder = insideStateFolder(given);
  const part = folder?.slice(STATE_FOLDER.length).split("/").find((it) =>
    it.startsWith(".") || /\.(json|lock)$/.test(it)
  );
  if (folder !== undefined && part === undefined) return folder;
  const [found, details] = part === undefined ? [`it is outside ${STATE_FOLDER}`, remedy] : [
    `"${part}" ${part.startsWith(".") ? "begins with a dot" : "ends like a state or lock file"}`,
    `choose another name than "${part}"`,
  ];
  const isUnsupported = ipam.get("type") === "host-local" && part === undefined;
  throw new CniError(
    isUnsupported ? "UnsupportedField" : "InvalidNetworkConfig",
    `Cannot use ipam.dataDir ${quote(given)} as a state folder: ${found}`,
    details,
  );
}

/** `ipam.resolvConf` of host-local (rule H8): a file inside the permission scope. Throws UnsupportedField. */
export function parseResolvConfPath(root: Fields): string | undefined {
  const given = root.object("ipam").optional("resolvConf", parseString) ?? "";
  if (given === "") return undefined;
  const path = insideStateFolder(given);
  if (path !== undefined) return path;
  throw new CniError(
    "UnsupportedField",
    `Cannot use ipam.resolvConf ${quote(given)} as a file to read: it is outside ${STATE_FOLDER}`,
    `write the servers under "dns", or put a copy below ${STATE_FOLDER}`,
  );
}

/** `path` with `..` folded; `undefined` outside the state folder, where the permission scope ends. */
function insideStateFolder(path: string): string | undefined {
  const folded = normalize(path).replace(/(.)\/$/, "$1");
  const inside = folded === STATE_FOLDER || folded.startsWith(`${STATE_FOLDER}/`);
  return isAbsolute(folded) && inside && !path.includes("\0") ? folded : undefined;
}

/** The largest resolv.conf, in bytes. */
const LARGEST_RESOLV_CONF = 64 * 1024;

/** The servers and suffixes in a resolv.conf(5) file inside the state folder (rule H8). Throws IOFailure. */
export function readResolvConf(path: string): Dns {
  return orIoError("read", path, () => {
    for (let at = path; at.length >= STATE_FOLDER.length; at = dirname(at)) {
      const { isFile, isDirectory, size } = Deno.lstatSync(at);
      // A symbolic link would lead out of the permission scope.
      if (at === path ? isFile && size <= LARGEST_RESOLV_CONF : isDirectory) continue;
      const found = !isFile || at !== path ? "it is not a regular file" : `it has ${size} bytes`;
      throw new CniError(
        "IOFailure",
        `Cannot read "${at}" as ipam.resolvConf: ${found}`,
        'name a regular file below the state folder, or write the servers under "dns"',
      );
    }
    return parseResolvConf(Deno.readTextFileSync(path));
  });
}

/** `nameserver` adds one, `search` and `options` add several, the last `domain` counts; other lines are ignored. */
export function parseResolvConf(text: string): Dns {
  const dns: { nameservers?: string[]; domain?: string; search?: string[]; options?: string[] } =
    {};
  for (const line of text.split("\n")) {
    const [key = "", ...values] = line.trim().split(/\s+/);
    const [first] = values;
    if (first === undefined) continue;
    if (key === "nameserver") (dns.nameservers ??= []).push(first);
    else if (key === "domain") dns.domain = first;
    else if (key === "search" || key === "options") (dns[key] ??= []).push(...values);
  }
  return dns;
}
