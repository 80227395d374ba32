#include "server/telemetry/call_record.h"

#include <utility>

namespace meridian::server {
namespace {

// Shared with the call's interceptor, so that a thread which never comes back to it leaves nothing
// behind that is gone.
std::shared_ptr<CallRecord>& OfThisThread() {
  thread_local std::shared_ptr<CallRecord> current;
  return current;
}

}  // namespace

CallRecord::CallRecord(MethodMeter& method, TraceContext trace)
    : method_(method), trace_(std::move(trace)) {}

CallRecord* CallRecord::Current() { return OfThisThread().get(); }

void CallRecord::SetCurrent(std::shared_ptr<CallRecord> record) {
  OfThisThread() = std::move(record);
}

void CallRecord::Spent(CallPhase phase, absl::Duration time) {
  spent_[static_cast<size_t>(phase)] += time;
}

void CallRecord::Received(size_t bytes) {
  received_bytes_ += bytes;
  method_.Received(bytes);
}

void CallRecord::Sent(size_t bytes) {
  sent_bytes_ += bytes;
  method_.Sent(bytes);
}

}  // namespace meridian::server
