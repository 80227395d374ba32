// A CoordinationStore in a folder of this machine: what `meridiand dev` runs on.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordination/coordination_store.h"

namespace rocksdb {
class Env;
}

namespace meridian::coordination {

// Opens or creates the store in `folder`, whose parent exists. Commits are synced before they are
// answered. `env` (an encrypted one, so that nothing is readable at rest, I9) outlives the store;
// nullptr: the operating system's files, in plaintext.
//
// FAILED_PRECONDITION: another store, of this process or another one, has the folder open, or it is
// of another format version. DATA_LOSS: it is damaged.
//
// Callbacks run on the store's own thread. Destroying the store drops those that have not run: its
// users go first. After a failed write it answers UNAVAILABLE only, until it is opened again: the
// operating system may have dropped the bytes that it failed to write.
absl::StatusOr<std::unique_ptr<CoordinationStore>> OpenEmbeddedStore(const std::string& folder,
                                                                     rocksdb::Env* env);

}  // namespace meridian::coordination
