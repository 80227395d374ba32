// What every CoordinationStore checks and computes alike.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "coordination/coordination_store.h"

namespace meridian::coordination {

// INVALID_ARGUMENT for an empty key, a key written twice, or more than kMaxOps compares and writes
// together.
absl::Status Validate(const Transaction& transaction);

// The first key after all that begin with `prefix`; empty: there is none.
std::string PrefixEnd(std::string_view prefix);

}  // namespace meridian::coordination
