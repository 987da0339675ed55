const NAMED = Deno.env.get("SIZE") ?? "short";
if (NAMED !== "short" && NAMED !== "full") {
  throw new Error(`Cannot use "${NAMED}" as SIZE: it is short, as in CI, or full`);
}

/** The size of a suite's run: `SIZE=full` runs everything, `SIZE=short` (the default) CI's short form. */
export const SIZE: "short" | "full" = NAMED;
