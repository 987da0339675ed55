import { parse as parseUntyped } from "npm:deno-std@1.4.0/jsonc/parse.js";

export type JsonValue =
  | { [key: string]: JsonValue | undefined }
  | JsonValue[]
  | string
  | number
  | boolean
  | null;

export const parse: (text: string) => JsonValue = parseUntyped;
