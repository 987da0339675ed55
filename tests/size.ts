/** The size of a suite's run: `SIZE=full` runs everything; any other value runs CI's short form. */
export const SIZE: "short" | "full" = Deno.env.get("SIZE") === "full" ? "full" : "short";
