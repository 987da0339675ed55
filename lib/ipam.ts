/** Allocates, releases and reclaims the addresses of attachments. Each network has one state file. */
export { type Adoption, mayAdopt } from "./ipam/adopt.ts";
export { allocate, chooseIps, type LeaseRequest } from "./ipam/allocate.ts";
export { checkRequested, countFree } from "./ipam/choose.ts";
export { NewerSchema, NotAStateFile } from "./ipam/damage.ts";
export { checkFit, checkOwners, SUBNET_CHANGED } from "./ipam/fit.ts";
export { tryLstat } from "./ipam/files.ts";
export { checkFolder, lockPath, statePath } from "./ipam/folder.ts";
export {
  containerMac,
  hasUsualMac,
  hostsOf,
  isForeign,
  isImported,
  now,
  recordedMac,
  recordOf,
} from "./ipam/lease.ts";
export { holderOfLock } from "./ipam/lock.ts";
export { AddMarks, type AddProgress, isRunning, type Mark } from "./ipam/mark.ts";
export { type Held, type Networks, othersThan, readNetworks } from "./ipam/networks.ts";
export {
  addLease,
  dropLeases,
  emptyState,
  findLease,
  isSameLease,
  type Lease,
  type LeaseRecord,
  listLeases,
  type State,
} from "./ipam/state.ts";
export {
  type Decision,
  type Found,
  type Leases,
  type Provenance,
  StoredLeases,
} from "./ipam/store.ts";
