import { assertEquals } from "@std/assert";
import { parseResolvConf } from "../../../lib/config/folder.ts";

Deno.test("parseResolvConf() reads servers and suffixes and ignores the rest", () => {
  const rows: [string, object][] = [
    ["", {}],
    ["# nameserver 10.0.0.1\n;x\nnameserver\nsortlist 1\n", {}],
    ["nameserver 10.0.0.1\n  nameserver\t10.0.0.2  \r\n", {
      nameservers: ["10.0.0.1", "10.0.0.2"],
    }],
    ["domain a\ndomain b\n", { domain: "b" }],
    ["search a b\nsearch c", { search: ["a", "b", "c"] }],
    ["options ndots:2 rotate", { options: ["ndots:2", "rotate"] }],
  ];
  for (const [text, dns] of rows) assertEquals<object>(parseResolvConf(text), dns, text);
});
