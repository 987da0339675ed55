import type { RunIp } from "../../../lib/netops.ts";

export type Answer = Awaited<ReturnType<RunIp>>;

/** The output of a successful `ip`. */
export function answer(stdout: unknown = "", changes: Partial<Answer> = {}): Answer {
  const text = typeof stdout === "string" ? stdout : `${JSON.stringify(stdout)}\n`;
  return {
    argv: ["ip"],
    success: true,
    status: 0,
    signal: null,
    stdout: text,
    stderr: "",
    ...changes,
  };
}

/** The output of a failed `ip`. */
export function failure(stderr = "no", stdout = ""): Answer {
  return answer(stdout, { success: false, status: 2, stderr });
}

/** A fake `ip` that records its calls: the arguments, and the lines of its stdin if any. */
export function recorder(
  reply: (args: string, stdin: string | undefined) => Answer = () => answer(),
) {
  const calls: string[] = [];
  const run: RunIp = (args, stdin) => {
    const lines = stdin?.trimEnd().split("\n") ?? [];
    calls.push([args.join(" "), ...lines].join("\n  "));
    return Promise.resolve(reply(args.join(" "), stdin));
  };
  return { calls, run };
}
