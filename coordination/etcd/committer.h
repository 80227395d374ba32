// One transaction, and what became of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordination/coordination_store.h"
#include "coordination/etcd/call.h"

namespace meridian::coordination {

// Confined to the strand; keeps itself alive until `done`.
class Committer : public std::enable_shared_from_this<Committer> {
 public:
  using Done = std::function<void(absl::StatusOr<CommitResult>)>;

  // `environment` outlives it.
  Committer(CallEnvironment& environment, std::string key_prefix, Transaction transaction,
            Done done);
  void Begin();

 private:
  void OnAnswer(absl::StatusOr<etcdserverpb::TxnResponse> answer);
  // After a refusal for want of space, which does not tell whether the transaction was applied.
  void FindOut(absl::Status refusal);

  CallEnvironment& environment_;
  const std::string key_prefix_;
  const Transaction transaction_;
  const Done done_;
  int64_t revision_before_ = 0;  // 0: not known
};

}  // namespace meridian::coordination
