// A CoordinationStore in a folder of this machine: what `meridiand dev` runs on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordination/coordination_store.h"

namespace rocksdb {
class Env;
}

namespace meridian::storage {
class FileCipherFactory;
}

namespace meridian::coordination {

// Opens or creates the store in `folder`, whose parent exists. Commits are synced before they are
// answered. Every file is ciphertext under `ciphers` (I9), which outlive the store, as `base_env`
// does; nullptr: the operating system's.
//
// FAILED_PRECONDITION: another store, of this process or another one, has the folder open, or it is
// of another format version or under other keys. DATA_LOSS: it is damaged.
//
// Callbacks run on the store's own thread. Destroying the store drops those that have not run: its
// users go first. On a full disk reads go on; Commit answers RESOURCE_EXHAUSTED, with nothing
// written, until there is space. After any other failed write the store answers UNAVAILABLE only,
// until it is opened again: the operating system may have dropped the bytes that it failed to
// write.
absl::StatusOr<std::unique_ptr<CoordinationStore>> OpenEmbeddedStore(
    const std::string& folder, storage::FileCipherFactory& ciphers,
    rocksdb::Env* base_env = nullptr);

// Commits are refused while less is free: what the log, the manifest and a memtable's flush take.
constexpr uint64_t kEmbeddedStoreReserveBytes = 16 << 20;

}  // namespace meridian::coordination
