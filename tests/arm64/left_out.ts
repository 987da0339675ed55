/**
 * The tests of tests/integration that the full run leaves out under an emulator, by how their names begin. Printed, they
 * are the filter of `deno test` that does.
 */
export const LEFT_OUT: readonly string[] = [
  // They see the emulator where they look for the program: its processes and signals, the file that it reads, what strace sees.
  "no ip stays behind",
  "the compiled file has the declared scope",
  "an ADD beside others starts ip twice",
  // Without vfork, an `ip` that can't be started is no error of the call that starts it.
  "STATUS: code 50 for no ip",
  // A second ADD takes longer than the kernel needs to settle the IPv6 address of the first.
  "an attachment is added once",
];

if (import.meta.main) {
  Deno.stdout.writeSync(new TextEncoder().encode(`--filter=/^(?!${LEFT_OUT.join("|")})/\n`));
}
