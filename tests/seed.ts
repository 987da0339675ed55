/** The seed of the short forms and of CI, so that chance does not decide whether they are red. */
const FIXED = 1;

/**
 * The seed of generated cases: the number in the environment variable `name`; the fixed seed in a short form and where
 * `CI` is set; else a new seed. Throws if the variable is not a whole number.
 */
export function seedOf(
  name: string,
  env: (name: string) => string | undefined = (it) => Deno.env.get(it),
): number {
  const text = env(name) ?? "";
  if (text === "") {
    const isFixed = (env("CI") ?? "") !== "" || env("SIZE") === "short";
    return isFixed ? FIXED : crypto.getRandomValues(new Uint32Array(1))[0] ?? FIXED;
  }
  const seed = Number(text);
  if (!Number.isInteger(seed) || seed < 0) throw new Error(`${name} is not a number: "${text}"`);
  return seed;
}
