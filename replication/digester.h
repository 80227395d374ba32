// Computes digests of a replica's state beside the strand, which a scan of a large state would hold
// up for longer than its heartbeats can wait.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/strong_int.h"
#include "replication/inbox.h"
#include "storage/kv.h"
#include "storage/state_machine.h"

namespace meridian::replication {

// Confined to the replica's strand; `done` is called there.
class Digester {
 public:
  using Done = std::function<void(absl::StatusOr<std::pair<LogIndex, std::string>>)>;

  // `own_thread` false: at once, on the strand (simulations, which have one thread).
  Digester(const storage::StateMachine& state_machine, Inbox::Handle strand, bool own_thread)
      : state_machine_(state_machine), strand_(std::move(strand)), own_thread_(own_thread) {}
  // Waits for the digest that is being computed.
  ~Digester() { worker_.reset(); }

  // Of the rows with keys in [first, end); `view` stands at `index`. RESOURCE_EXHAUSTED: too many
  // are asked for.
  void Compute(LogIndex index, std::unique_ptr<storage::KvReader> view, std::string first,
               std::string end, Done done);
  void FailAll(const absl::Status& reason);

 private:
  void Finish(uint64_t id, LogIndex index, absl::StatusOr<std::string> digest);

  const storage::StateMachine& state_machine_;
  const Inbox::Handle strand_;
  const bool own_thread_;
  uint64_t last_id_ = 0;
  std::map<uint64_t, Done> pending_;
  std::unique_ptr<Executor> worker_;  // only while something is pending
};

}  // namespace meridian::replication
