// A KMS for a cluster of many processes: its keys are in the coordination store, each wrapped by
// one root key, which never leaves the KMS that every process is given.
#pragma once

#include <memory>

#include "base/random.h"
#include "coordination/coordination_store.h"
#include "crypto/kms.h"

namespace meridian::tenancy {

// The root's name inside `root`: made by the operator, with the rest of the keyring.
inline constexpr char kSharedKmsRoot[] = "root";

// A key that one process has made or destroyed is seen by all of them: as soon as the store can be
// asked. Keys that were used here before go on being used while the store is away, without a time
// limit (I12); others are UNAVAILABLE then. What DestroyKey has destroyed is forgotten here before
// it returns, and by every other process within a moment, whether or not it is asked for the key;
// its name is refused for good. The store's history and backups hold it, wrapped, until they go.
// Thread-safe; the references outlive it. Besides what Kms says, FAILED_PRECONDITION: `root` has no
// key kSharedKmsRoot.
std::unique_ptr<crypto::Kms> MakeSharedKms(crypto::Kms& root,
                                           coordination::CoordinationStore& store, Random& random);

}  // namespace meridian::tenancy
