import type { Host } from "./host.ts";

/** The log of every call of the replaced `ip`, each with its batch. */
export const IP_LOG = "/run/ip.log";

/**
 * Replaces this host's `ip` with a shell script that calls the real one. `rule` runs at each call. It has the
 * arguments in `$*` and a batch in `$in`: it may change `in`, wait, or exit.
 */
export async function breakIp(host: Host, rule: string): Promise<void> {
  const script = `#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
in= end='
'
case " $* " in *' -batch '*) while IFS= read -r it || [ -n "$it" ]; do in=$in\${in:+$end}$it; done ;; esac
printf '%s\\n' "ip $*" "$in" >>${IP_LOG}
${rule}
case " $* " in
  *' -batch '*) printf '%s\\n' "$in" | /run/ip.real "$@" ;;
  *) exec /run/ip.real "$@" ;;
esac
`;
  const ready = await host.run(["test", "-e", "/run/ip.real"]);
  if (ready.code !== 0) {
    await host.sh(`cp "$(readlink -f /usr/sbin/ip || readlink -f /usr/bin/ip)" /run/ip.real
      : >/run/ip.fake; chmod 755 /run/ip.fake; mount --bind /run/ip.fake "$(readlink -f /usr/bin/ip)"`);
  }
  await host.run(["tee", "/run/ip.fake"], script);
}

/** The calls of `ip` since the last look. */
export async function ipLog(host: Host): Promise<string> {
  return await host.sh(`cat ${IP_LOG}; : >${IP_LOG}`);
}
