#include "coordination/etcd/call_gate.h"

#include <grpcpp/client_context.h>

#include <utility>
#include <vector>

namespace meridian::coordination {

bool CallGate::Enter(std::shared_ptr<grpc::ClientContext> call) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return false;
  const grpc::ClientContext* const key = call.get();
  calls_.emplace(key, std::move(call));
  return true;
}

void CallGate::Leave(const grpc::ClientContext* call) {
  absl::MutexLock lock(&mutex_);
  calls_.erase(call);
}

void CallGate::Close() {
  std::vector<std::shared_ptr<grpc::ClientContext>> live;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    for (const auto& [key, call] : calls_) live.push_back(call);
  }
  // Cancelled before it is started, a call fails when it is.
  for (const auto& call : live) call->TryCancel();
  live.clear();
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](Calls* calls) { return calls->empty(); }, &calls_));
}

}  // namespace meridian::coordination
