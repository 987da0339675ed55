import { dirname } from "@std/path/posix";
import { CniError, orIoError } from "../base/errors.ts";
import { STATE_FOLDER } from "../base/scope.ts";
import type { Dns } from "../result.ts";

const LARGEST_FILE = 64 * 1024;

/** The servers and suffixes in a resolv.conf(5) file inside the state folder (rule H8). Throws IOFailure. */
export function readResolvConf(path: string): Dns {
  return orIoError("read", path, () => {
    for (let at = path; at.length >= STATE_FOLDER.length; at = dirname(at)) {
      const { isFile, isDirectory, size } = Deno.lstatSync(at);
      // A symbolic link would lead out of the permission scope.
      if (at === path ? isFile && size <= LARGEST_FILE : isDirectory) continue;
      const found = !isFile || at !== path ? "it is not a regular file" : `it has ${size} bytes`;
      throw new CniError("IOFailure", `Cannot read "${at}" as ipam.resolvConf: ${found}`, {
        details: 'name a regular file below the state folder, or write the servers under "dns"',
      });
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
