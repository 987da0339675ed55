/** The file to which tests append their measured figures, if it is named. */
const FILE = Deno.env.get("KUBERNETES_FIGURES");

/** Appends a figure with its unit, a line of the file. */
export async function record(name: string, value: string): Promise<void> {
  if (FILE !== undefined) await Deno.writeTextFile(FILE, `${name}: ${value}\n`, { append: true });
}
