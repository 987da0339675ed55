/** Rules that tests outside of this folder prove: the file, and the name of the test. */
export const ELSEWHERE: readonly {
  readonly rules: string;
  readonly file: string;
  readonly what: string;
}[] = [
  {
    rules: "H11 Q2",
    file: "tests/integration/import_test.ts",
    what: "an imported lease is held, checked and freed with its veth",
  },
];
