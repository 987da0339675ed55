/** A plugin of `deno lint` that reports the place of each statement, `START END` in UTF-16 units. Declarations stay. */
const KINDS = "Expression Return Throw If For ForOf While DoWhile Switch Try Break Continue";

const plugin: Deno.lint.Plugin = {
  name: "mutants",
  rules: {
    statement: {
      create: (context) => {
        const report = ({ range }: Deno.lint.Node) =>
          context.report({ range, message: range.join(" ") });
        return Object.fromEntries(KINDS.split(" ").map((kind) => [`${kind}Statement`, report]));
      },
    },
  },
};

export default plugin;
