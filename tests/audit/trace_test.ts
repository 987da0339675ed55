import { assertEquals } from "@std/assert";
import { ruleOf, rulesFor } from "./rules.ts";
import { type Event, eventsIn } from "./trace.ts";

const FILE = "/opt/cni/bin/atomicni";
const SCOPE = {
  read: ["/var/lib/atomicni"],
  write: ["/var/lib/atomicni"],
  run: ["/usr/sbin/ip"],
  env: ["CNI_COMMAND"],
  more: [],
  asks: false,
};
const RULES = rulesFor(FILE, FILE, SCOPE);

/** A line as strace writes it, the access that it shows, and whether the scope allows it. */
const ROWS: readonly (readonly [line: string, done: string, allowed: boolean])[] = [
  [
    'openat(AT_FDCWD</>, "/var/lib/atomicni/a.lock", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 15</var/lib/atomicni/a.lock>',
    "write /var/lib/atomicni/a.lock",
    true,
  ],
  [
    'openat(AT_FDCWD</>, "/var/lib/atomicni/a.json", O_RDONLY) = 15</etc/shadow>',
    "read /etc/shadow",
    false,
  ],
  ['openat(AT_FDCWD</>, "/etc/passwd", O_RDONLY) = 3</etc/passwd>', "read /etc/passwd", false],
  [
    'openat(AT_FDCWD</>, "/etc/x", O_RDONLY) = -1 ENOENT (No such file or directory)',
    "read /etc/x",
    false,
  ],
  [
    'openat(AT_FDCWD</>, "/var/lib/atomicni2/a", O_WRONLY) = 3</var/lib/atomicni2/a>',
    "write /var/lib/atomicni2/a",
    false,
  ],
  ['unlink("/tmp/x")                = 0', "change unlink /tmp/x", false],
  [
    'rename("/var/lib/atomicni/.a.0123456789abcdef.tmp", "/var/lib/atomicni/a.json") = 0',
    "change rename /var/lib/atomicni/.a.*.tmp /var/lib/atomicni/a.json",
    true,
  ],
  [
    'rename("/var/lib/atomicni/a.json", "/etc/a.json") = 0',
    "change rename /var/lib/atomicni/a.json /etc/a.json",
    false,
  ],
  [
    'execve("/usr/sbin/ip", ["/usr/sbin/ip", "-V"], 0x1 /* 0 vars */) = 0',
    "run /usr/sbin/ip",
    true,
  ],
  ['execve("/bin/sh", ["sh"], 0x1 /* 3 vars */) = 0', "run /bin/sh", false],
  [
    "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3",
    "socket AF_INET SOCK_STREAM",
    false,
  ],
  [
    "socketpair(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0, [6<socket:[1]>, 7<socket:[2]>]) = 0",
    "socket AF_UNIX SOCK_STREAM",
    true,
  ],
  [
    'connect(9<socket:[1]>, {sa_family=AF_UNIX, sun_path="/run/docker.sock"}, 110) = 0',
    "socket connect /run/docker.sock",
    false,
  ],
  ["kill(12, SIGKILL) = -1 ESRCH (No such process)", "kill a process that has ended", true],
  ["kill(12, SIGKILL) = 0", "kill 12, SIGKILL", false],
  ['mount("x", "/mnt", "none", MS_BIND, NULL) = 0', "mount mount x /mnt", false],
  ["--- SIGCHLD {si_signo=SIGCHLD} ---", "", true],
];

Deno.test("a trace is read, and accesses outside of the scope are reported", async () => {
  for (const [line, done, allowed] of ROWS) {
    const [event, ...more] = await read({ "t.1": `${line}\n` });
    assertEquals(more, []);
    assertEquals(event === undefined ? "" : `${event.kind} ${event.what}`, done);
    if (event !== undefined) assertEquals(ruleOf(event, RULES) !== undefined, allowed, line);
  }
});

Deno.test("ip and the program have different scopes", async () => {
  const ip = 'execve("/usr/sbin/ip", ["ip"], 0x1 /* 0 vars */) = 0\n';
  const netlink = "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE) = 3\n";
  const write = 'openat(AT_FDCWD</>, "/var/lib/atomicni/a", O_WRONLY) = 3</var/lib/atomicni/a>\n';
  const events = await read({ "t.1": netlink + write, "t.2": ip + netlink + write });
  assertEquals(events.map((it) => [it.by, it.what, ruleOf(it, RULES) !== undefined]), [
    [FILE, "AF_NETLINK SOCK_RAW", false],
    [FILE, "/var/lib/atomicni/a", true],
    [FILE, "/usr/sbin/ip", true],
    ["/usr/sbin/ip", "AF_NETLINK SOCK_RAW", true],
    ["/usr/sbin/ip", "/var/lib/atomicni/a", false],
  ]);
});

async function read(files: Readonly<Record<string, string>>): Promise<Event[]> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    return eventsIn(folder, FILE);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
