// What a replica needs of its container's chunks: for its own garbage, and for its siblings'.
#pragma once

#include <functional>
#include <utility>

#include "storage/replica_storage.h"
#include "storage/run_needs.h"
#include "storage/state_machine.h"

namespace meridian::replication {

// Confined to the replica's strand.
class OwnNeeds final : public storage::RunNeeds {
 public:
  struct Hooks {
    // The state is not whole, or what the log references is not known.
    std::function<bool()> may_need_any;
    // The run is being written here, read here, or referenced by a log entry that a member has not
    // passed.
    std::function<bool(RunId)> holds;
  };
  OwnNeeds(const storage::ReplicaStorage& storage, const storage::StateMachine& state_machine,
           Hooks hooks)
      : storage_(storage), state_machine_(state_machine), hooks_(std::move(hooks)) {}

  bool MayNeedAny() const override { return hooks_.may_need_any(); }
  bool Holds(RunId run) const override { return hooks_.holds(run); }
  absl::StatusOr<bool> Knows(RunId run) const override {
    return state_machine_.KnowsRun(*storage_.NewView(), run);
  }

 private:
  const storage::ReplicaStorage& storage_;
  const storage::StateMachine& state_machine_;
  const Hooks hooks_;
};

}  // namespace meridian::replication
