// What is noted of a call while it runs: for metrics, for the log, and for calls to other nodes on
// its behalf. Never names, keys or tokens.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "base/id.h"
#include "base/stopwatch.h"
#include "server/telemetry/request_meter.h"
#include "server/telemetry/trace_context.h"

namespace meridian::server {

// Calls that take longer are logged, unless a configuration says otherwise.
inline constexpr absl::Duration kDefaultSlowRequest = absl::Seconds(1);

// Where a call's time goes.
enum class CallPhase {
  kClient,   // waiting for the client to send or to take bytes
  kCommit,   // a command on its way through the group's log
  kConfirm,  // a read that waits for its quorum round
  kBody,     // chunks on their way to or from disks, of this node and others
  kNodes,    // other nodes' answers
};
inline constexpr size_t kCallPhases = 5;

// One call. Of the thread that runs its handler, for which it is `Current`: gRPC's synchronous
// services run a call on one thread from beginning to end. What other threads do for a call is not
// noted.
class CallRecord {
 public:
  // `method` outlives the record.
  CallRecord(MethodMeter& method, TraceContext trace);

  // Of this thread; null if it runs no call that is recorded.
  static CallRecord* Current();
  // Until it is replaced; null: none.
  static void SetCurrent(std::shared_ptr<CallRecord> record);

  MethodMeter& method() const { return method_; }
  const TraceContext& trace() const { return trace_; }
  absl::Duration elapsed() const { return stopwatch_.Elapsed(); }

  void Spent(CallPhase phase, absl::Duration time);
  absl::Duration spent(CallPhase phase) const { return spent_[static_cast<size_t>(phase)]; }

  // Of the object's body.
  void Received(size_t bytes);
  void Sent(size_t bytes);
  uint64_t received_bytes() const { return received_bytes_; }
  uint64_t sent_bytes() const { return sent_bytes_; }

  // The group whose partition it is about; nil if none.
  void SetGroup(PartitionId group) { group_ = group; }
  PartitionId group() const { return group_; }

 private:
  MethodMeter& method_;
  const TraceContext trace_;
  const Stopwatch stopwatch_;
  std::array<absl::Duration, kCallPhases> spent_{};
  uint64_t received_bytes_ = 0;
  uint64_t sent_bytes_ = 0;
  PartitionId group_;
};

// Counts its life as a phase of the current call; nothing if there is none.
class PhaseTimer {
 public:
  explicit PhaseTimer(CallPhase phase) : phase_(phase) {}
  ~PhaseTimer() {
    if (CallRecord* const call = CallRecord::Current()) call->Spent(phase_, stopwatch_.Elapsed());
  }
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

 private:
  const CallPhase phase_;
  const Stopwatch stopwatch_;
};

}  // namespace meridian::server
