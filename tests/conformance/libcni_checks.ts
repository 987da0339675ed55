/** What the Go programs under libcni/ do, by the name they print; rules as in rules.ts. */
export const LIBCNI_CHECKS: readonly { readonly rules: string; readonly what: string }[] = [
  { rules: "L1", what: "libcni loads the list from a folder" },
  { rules: "L3 L10", what: "libcni ValidateNetworkList" },
  { rules: "L4", what: "libcni AddNetworkList, result cached" },
  { rules: "L5", what: "libcni CheckNetworkList" },
  { rules: "L5", what: "libcni CheckNetworkList sees a missing route" },
  { rules: "L6", what: "libcni DelNetworkList, twice" },
  { rules: "L4 A2", what: "libcni AddNetworkList twice is an error with our message" },
  { rules: "L4", what: "libcni with runtimeConfig and CNI_ARGS" },
  { rules: "L7", what: "GC as libcni sends it" },
  { rules: "L8", what: "STATUS as libcni sends it" },
  { rules: "L4", what: "go-cni Setup" },
  { rules: "L5", what: "go-cni Check" },
  { rules: "L6", what: "go-cni Remove" },
  { rules: "L8", what: "go-cni Status" },
];
