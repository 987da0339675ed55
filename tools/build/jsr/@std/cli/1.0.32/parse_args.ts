import { parseArgs as parseUntyped } from "npm:deno-std@1.4.0/cli/parse_args.js";

/** The options that this project uses. */
export interface ParseOptions<B extends string = string, S extends string = string> {
  readonly boolean?: readonly B[];
  readonly string?: readonly S[];
  readonly alias?: Readonly<Record<string, string>>;
  readonly unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

export type Args<B extends string = string, S extends string = string> =
  & { _: (string | number)[] }
  & { [key in B]: boolean }
  & { [key in S]?: string };

export const parseArgs: <const B extends string = never, const S extends string = never>(
  args: readonly string[],
  options?: ParseOptions<B, S>,
) => Args<B, S> = parseUntyped;
