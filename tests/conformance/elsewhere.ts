/** Rules that tests outside of this folder prove, by the name of the test. */
export const H11_TESTS: readonly { readonly rules: string; readonly what: string }[] = [
  { rules: "H11 Q2", what: "tests/integration/import_test.ts" },
];
