/** A finding that is not fixed yet, and the complaints that it causes. */
interface Open {
  readonly finding: string;
  readonly kind: RegExp;
  readonly moment?: RegExp;
}

const OPEN: readonly Open[] = [
  { finding: "26.1, networks without the guard", kind: /reserved group|on a port/ },
  { finding: "26.6", kind: /between isolated ports/ },
  { finding: "26.7", kind: /which the network lacks|of a foreign address/ },
  { finding: "26.8", kind: /link-local/ },
  { finding: "26.16", kind: / from ::$/ },
  {
    finding: "rules know ports by their bridge alone",
    kind: /^the host gets|on a port|has learnt a MAC/,
    moment: /out of the bridge|bridge deleted/,
  },
  { finding: "26.17", kind: /./, moment: /MAC worn/ },
  { finding: "26.18", kind: /permanent neighbour of a container is gone/ },
];

/** Whether a complaint after such a moment is that of a finding which is known. */
export function isOpen(kind: string, moment: string): boolean {
  return OPEN.some((it) => it.kind.test(kind) && (it.moment?.test(moment) ?? true));
}
