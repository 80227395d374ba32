#include "server/steadiness.h"

#include <algorithm>

namespace meridian::server {
namespace {

bool IsWell(const replication::ReplicaStatus& status, uint64_t max_lag) {
  const auto heard = [](const auto& peer) { return peer.second <= Steadiness::kMaxSilence; };
  const auto close = [max_lag](const auto& peer) { return peer.second <= max_lag; };
  return status.is_serving && status.snapshots.empty() &&
         std::all_of(status.silence.begin(), status.silence.end(), heard) &&
         std::all_of(status.lag.begin(), status.lag.end(), close);
}

}  // namespace

void Steadiness::Note(const replication::ReplicaStatus& status, absl::Duration now) {
  if (!IsWell(status, MaxLag(status, now))) {
    since_.reset();
  } else if (!since_ || status.epoch != epoch_) {
    since_ = now;
  }
  epoch_ = status.epoch;
  last_ = status.last_index;
  noted_ = now;
}

uint64_t Steadiness::MaxLag(const replication::ReplicaStatus& status, absl::Duration now) const {
  if (status.epoch != epoch_ || status.last_index < last_ || now <= noted_) return kMaxLag;
  const auto appended = static_cast<double>(status.last_index - last_);
  const double part = absl::FDivDuration(kMaxLagTime, now - noted_);
  return std::max(kMaxLag, static_cast<uint64_t>(appended * std::min(part, 1.0)));
}

bool Steadiness::Holds(absl::Duration at_least) const {
  return since_ && noted_ - *since_ >= at_least;
}

}  // namespace meridian::server
