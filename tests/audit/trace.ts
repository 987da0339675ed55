/** One request of a process to the kernel. */
export interface Event {
  /** The program that made it: the last one that its process executed. */
  readonly by: string;
  readonly kind: "run" | "read" | "write" | "change" | "socket" | "mount" | "enter" | "kill";
  readonly what: string;
  /** The kernel answered with an error. */
  readonly refused: boolean;
}

/** The calls that strace has to record for `eventsIn`; a question mark means that an older strace may not know it. */
export const SYSCALLS = [
  "execve,execveat,open,openat,openat2,creat,truncate,ftruncate,rename,renameat,renameat2,unlink,unlinkat,rmdir",
  "mkdir,mkdirat,link,linkat,symlink,symlinkat,chmod,fchmodat,?fchmodat2,chown,lchown,fchownat,mknod,mknodat",
  "utimensat,setxattr,socket,socketpair,connect,bind,listen,accept,accept4,mount,umount2,setns,unshare,pivot_root",
  "chroot,ptrace,bpf,init_module,finit_module,kill,tkill",
].join(",");

const CALL = /^(\w+)\((.*)\)\s+= (-?\d+|\?)(?:<([^>]*)>)?/;
const CHANGES =
  /^(truncate|rename|renameat2?|unlink|unlinkat|rmdir|mkdir|mkdirat|link|linkat|symlink|symlinkat|chmod|fchmodat2?|chown|lchown|fchownat|mknod|mknodat|utimensat|setxattr|creat)$/;

/** Reads the files of `strace -ff -y -o PREFIX`, one for each process; `first` is the started program. */
export function eventsIn(folder: string, first: string): Event[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort().flatMap((name) => {
    let by = first;
    const events: Event[] = [];
    for (const line of Deno.readTextFileSync(`${folder}/${name}`).split("\n")) {
      const event = eventOf(line, by);
      if (event === undefined) continue;
      events.push(event);
      if (event.kind === "run" && !event.refused) by = event.what;
    }
    return events;
  });
}

function eventOf(line: string, by: string): Event | undefined {
  const [, call = "", args = "", status = "", opened] = CALL.exec(line) ?? [];
  if (call === "") return undefined;
  const refused = status.startsWith("-");
  const of = (kind: Event["kind"], what: string): Event => ({ by, kind, what, refused });
  const paths = [...args.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, path = ""]) => stable(path));
  const [path = ""] = paths;
  if (call.startsWith("execve")) return of("run", path);
  if (call.startsWith("open")) {
    const writes = /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC/.test(args);
    return of(writes ? "write" : "read", stable(opened ?? path));
  }
  if (call === "ftruncate") {
    return of("change", `${call} ${stable(/<([^>]*)>/.exec(args)?.[1] ?? args)}`);
  }
  if (CHANGES.test(call)) return of("change", `${call} ${paths.join(" ")}`);
  if (call === "socket" || call === "socketpair") {
    return of("socket", /^(AF_\w+), (SOCK_\w+)/.exec(args)?.slice(1).join(" ") ?? args);
  }
  if (/^(connect|bind|listen|accept4?)$/.test(call)) {
    const address = /sun_path=@?"([^"]*)"/.exec(args)?.[1] ?? /sa_family=(AF_\w+)/.exec(args)?.[1];
    return of("socket", `${call} ${address ?? args}`);
  }
  if (/^(mount|umount2)$/.test(call)) return of("mount", `${call} ${paths.slice(0, 2).join(" ")}`);
  if (call === "kill" || call === "tkill") {
    return of("kill", refused ? "a process that has ended" : args);
  }
  return of("enter", `${call} ${args.replaceAll(/\d+<([^>]*)>/g, "$1").slice(0, 80)}`);
}

/** Without the parts that vary from run to run. */
function stable(path: string): string {
  return path.replace(/^\/proc\/\d+\//, "/proc/self/").replace(
    /\.[0-9a-f]{16}\.tmp$/,
    ".*.tmp",
  ).replace(/\.tmp-\d+$/, ".tmp-*");
}
