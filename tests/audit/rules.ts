import type { Scope } from "./scope.ts";
import type { Event } from "./trace.ts";

/** An action that may be seen from outside, and its reason. */
export interface Rule {
  readonly why: string;
  readonly by: (program: string) => boolean;
  readonly kind: readonly Event["kind"][];
  readonly what: RegExp;
}

const LIBRARIES =
  /^(\/usr)?\/lib(64)?\/([\w-]+\/)?(ip\/)?[\w.+-]+\.so[\w.-]*$|^\/etc\/ld\.so\.(cache|preload)$/;

/** The allowed actions of the built file: its declared scope, and those with which its runtime and `ip` start. */
export function rulesFor(file: string, runtime: string, scope: Scope): Rule[] {
  const isIp = (program: string) => scope.run.includes(program);
  const isOurs = (program: string) => !isIp(program);
  const folder = scope.write.map(escape).join("|");
  const isScript = runtime !== file;
  return [
    rule(
      "declared: write the state folder",
      isOurs,
      ["write", "change"],
      `^(\\w+ )?(${folder})(/\\S*)?( (${folder})/\\S*)?$`,
    ),
    rule("declared: read the state folder", isOurs, ["read"], `^(${folder})(/|$)`),
    rule("declared: run ip", isOurs, ["run"], `^(${scope.run.map(escape).join("|")})$`),
    rule("the built file itself", isOurs, ["run", "read"], `^${escape(file)}$`),
    ...(isScript
      ? [
        rule(
          "the script form: env, then Deno",
          isOurs,
          ["run"],
          `^(/usr/bin/env|${escape(runtime)})$`,
        ),
        rule(
          "the script form: checks that only root can write to its cache",
          isOurs,
          ["run", "read"],
          "^(/usr/bin/(stat|mkdir)|/proc/filesystems)$",
        ),
        rule("the script form: Deno itself", isOurs, ["read"], `^${escape(runtime)}$`),
        rule(
          "the script form: Deno names itself in its cache",
          isOurs,
          ["change"],
          `^symlink ${escape(runtime)} (${folder})/\\.deno/\\S*$`,
        ),
      ]
      : []),
    { why: "the system's libraries", by: () => true, kind: ["read"], what: LIBRARIES },
    rule(
      "the runtime: processors, memory and its limits",
      isOurs,
      ["read"],
      "^(/proc/self/(maps|cgroup|mountinfo|exe)|/proc/meminfo|/proc/sys/(vm/overcommit_memory|kernel/osrelease)|/proc/cpuinfo|/sys/devices/system/cpu(/\\S*)?|/sys/fs/cgroup(/\\S*)?)$",
    ),
    rule("the runtime: random numbers", isOurs, ["read"], "^/dev/u?random$"),
    rule("the runtime: stdin of ip", isOurs, ["read", "write"], "^/dev/null$"),
    rule("the runtime: time zone", isOurs, ["read"], "^(/etc/localtime|/usr/share/zoneinfo/.*)$"),
    rule(
      "the runtime: a pair of sockets with itself and with ip's stdin",
      isOurs,
      ["socket"],
      "^AF_UNIX SOCK_STREAM$",
    ),
    rule(
      "the runtime: makes sure that an ended ip is gone",
      isOurs,
      ["kill"],
      "^a process that has ended$",
    ),
    rule("ip: kernel's tables", isIp, ["socket"], "^(AF_NETLINK SOCK_RAW|bind AF_NETLINK)$"),
    rule("ip: a socket to find interfaces by name", isIp, ["socket"], "^AF_UNIX SOCK_DGRAM$"),
    rule("ip: names of its tables", isIp, ["read"], "^(/etc|/usr/share|/usr/lib)/iproute2/"),
    rule(
      "ip: security modules, kinds of file systems",
      isIp,
      ["read"],
      "^(/proc/filesystems|/etc/selinux/config|/proc/self/(mounts|attr/\\S*))$",
    ),
    rule(
      "ip -n: the container's namespace",
      isIp,
      ["read", "enter"],
      "^(/run/netns(/\\S*)?|/etc/netns/\\S*|/proc/(self|thread-self|\\d+)/ns/net|net:\\[\\d+\\]|setns \\S+, CLONE_NEWNET|unshare CLONE_NEWNS)$",
    ),
    rule(
      "ip -n: /sys of that namespace, in a mount namespace of its own",
      isIp,
      ["mount"],
      "^(mount  ?/|umount2 /sys|mount \\S+ /sys)$",
    ),
  ];
}

function rule(why: string, by: Rule["by"], kind: Rule["kind"], pattern: string): Rule {
  return { why, by, kind, what: new RegExp(pattern) };
}

/** The rule that allows what was seen; `undefined` is a difference from the declared scope. */
export function ruleOf(event: Event, rules: readonly Rule[]): Rule | undefined {
  return rules.find((it) =>
    it.kind.includes(event.kind) && it.by(event.by) && it.what.test(event.what)
  );
}

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
