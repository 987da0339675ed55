/** The permissions of a built file, read from the file itself. */
export interface Scope {
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly run: readonly string[];
  readonly env: readonly string[];
  /** Further kinds that have any permission. */
  readonly more: readonly string[];
  readonly asks: boolean;
}

/** Reads the permissions from a compiled file, or the flags from the script form's first lines. */
export function scopeOf(path: string): Scope {
  const bytes = Deno.readFileSync(path);
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, 8192));
  return head.startsWith("#!") ? fromFlags(head) : fromMetadata(bytes);
}

function fromFlags(text: string): Scope {
  const command = text.split("\n")[1] ?? "";
  const list = (kind: string) =>
    new RegExp(` --allow-${kind}=(\\S+)`).exec(command)?.[1]?.split(",") ?? [];
  const known = ["read", "write", "run", "env"];
  const granted = [...command.matchAll(/ --allow-([a-z]+)/g)].map(([, kind = ""]) => kind);
  const all = /\s(-A|--allow-all)\s/.test(command) ? ["all"] : [];
  return {
    read: list("read"),
    write: list("write"),
    run: list("run"),
    env: list("env"),
    more: [...granted.filter((kind) => !known.includes(kind)), ...all],
    asks: !command.includes(" --no-prompt "),
  };
}

/** `deno compile` appends its options to the runtime, as JSON. */
function fromMetadata(bytes: Uint8Array): Scope {
  const text = new TextDecoder("latin1").decode(bytes.subarray(-4 * 1024 * 1024));
  const start = text.lastIndexOf('"permissions":{');
  if (start < 0) throw new Error("no permissions are in the file: is it made by deno compile?");
  const found = JSON.parse(objectAt(text, start + '"permissions":'.length));
  const list = (kind: string): string[] => {
    const value = found[`allow_${kind}`];
    return Array.isArray(value) && value.length > 0
      ? value
      : value === null || value === undefined
      ? []
      : ["everything"];
  };
  const known = ["allow_read", "allow_write", "allow_run", "allow_env"];
  const more = Object.entries(found).filter(([key, value]) =>
    key.startsWith("allow_") && !known.includes(key) && value !== null && value !== false &&
    // An empty list denies everything of the kind, whatever is allowed.
    found[`deny_${key.slice("allow_".length)}`]?.length !== 0
  ).map(([key]) => key.slice("allow_".length));
  return {
    read: list("read"),
    write: list("write"),
    run: list("run"),
    env: list("env"),
    more,
    asks: found.prompt !== false,
  };
}

function objectAt(text: string, start: number): string {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    if (text[at] === "{") depth++;
    if (text[at] === "}" && --depth === 0) return text.slice(start, at + 1);
  }
  throw new Error("the permissions in the file have no end");
}

/** The scope for a person, one kind per line. */
export function scopeLines(scope: Scope): string[] {
  return [
    `read   ${scope.read.join(" ")}`,
    `write  ${scope.write.join(" ")}`,
    `run    ${scope.run.join(" ")}`,
    `env    ${scope.env.join(" ")}`,
    `more   ${
      scope.more.join(" ") || "nothing: no network, no foreign library, no system information"
    }`,
    `asks   ${scope.asks ? "yes, on a terminal" : "never"}`,
  ];
}
