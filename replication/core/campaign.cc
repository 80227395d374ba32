#include "replication/core/campaign.h"

namespace meridian::replication {

void Campaign::OnProbeReply(ReplicaId from, const ProbeReply& reply) {
  if (stage_ != Stage::kProbe || reply.round != round_ || !reply.granted) return;
  in_favour_.insert(from);
  if (!reply.installing) logs_[from] = {from, reply.last, reply.base};
}

bool Campaign::ProbeWon(const Quorum& quorum, ReplicaId self) const {
  return quorum.Reached([&](ReplicaId id) { return id == self || in_favour_.contains(id); });
}

void Campaign::OnFenceReply(ReplicaId from, const FenceReply& reply) {
  if (stage_ != Stage::kFence || reply.epoch != epoch_) return;
  in_favour_.insert(from);
  if (!reply.installing) logs_[from] = {from, reply.last, reply.base};
}

bool Campaign::FenceWon(const Quorum& quorum, ReplicaId self, bool self_promised) const {
  return quorum.Reached(
      [&](ReplicaId id) { return id == self ? self_promised : in_favour_.contains(id); });
}

std::optional<Campaign::Candidate> Campaign::BestAbove(LogPosition own) const {
  std::optional<Candidate> best;
  for (const auto& [id, candidate] : logs_) {
    if (candidate.last > own && (!best || candidate.last > best->last)) best = candidate;
  }
  return best;
}

}  // namespace meridian::replication
