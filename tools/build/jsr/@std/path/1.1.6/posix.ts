import * as untyped from "npm:deno-std@1.4.0/path/posix/mod.js";

export const basename: (path: string, suffix?: string) => string = untyped.basename;
export const dirname: (path: string) => string = untyped.dirname;
export const fromFileUrl: (url: URL | string) => string = untyped.fromFileUrl;
export const isAbsolute: (path: string) => boolean = untyped.isAbsolute;
export const join: (path: string, ...more: string[]) => string = untyped.join;
export const normalize: (path: string) => string = untyped.normalize;
export const relative: (from: string, to: string) => string = untyped.relative;
export const resolve: (...paths: string[]) => string = untyped.resolve;
