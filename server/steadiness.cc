#include "server/steadiness.h"

#include <algorithm>

namespace meridian::server {
namespace {

bool IsWell(const replication::ReplicaStatus& status) {
  const auto heard = [](const auto& peer) { return peer.second <= Steadiness::kMaxSilence; };
  const auto close = [](const auto& peer) { return peer.second <= Steadiness::kMaxLag; };
  return status.is_serving && status.snapshots.empty() &&
         std::all_of(status.silence.begin(), status.silence.end(), heard) &&
         std::all_of(status.lag.begin(), status.lag.end(), close);
}

}  // namespace

void Steadiness::Note(const replication::ReplicaStatus& status, absl::Duration now) {
  if (!IsWell(status)) {
    since_.reset();
  } else if (!since_ || status.epoch != epoch_) {
    since_ = now;
  }
  epoch_ = status.epoch;
  noted_ = now;
}

bool Steadiness::Holds(absl::Duration at_least) const {
  return since_ && noted_ - *since_ >= at_least;
}

}  // namespace meridian::server
