#include "coordination/transaction.h"

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace meridian::coordination {

absl::Status Validate(const Transaction& transaction) {
  const size_t ops = transaction.compares.size() + transaction.writes.size();
  if (ops > Transaction::kMaxOps) {
    return absl::InvalidArgumentError(absl::StrCat("a coordination transaction has ", ops,
                                                   " compares and writes, more than the limit of ",
                                                   Transaction::kMaxOps));
  }
  for (const Compare& compare : transaction.compares) {
    if (compare.key.empty()) {
      return absl::InvalidArgumentError("a coordination transaction compares an empty key");
    }
  }
  absl::flat_hash_set<std::string> written;
  for (const Write& write : transaction.writes) {
    if (write.key.empty()) {
      return absl::InvalidArgumentError("a coordination transaction writes an empty key");
    }
    if (!written.insert(write.key).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("a coordination transaction writes the key ", write.key, " twice"));
    }
  }
  return absl::OkStatus();
}

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

}  // namespace meridian::coordination
