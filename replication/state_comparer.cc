#include "replication/state_comparer.h"

#include <utility>
#include <vector>

namespace meridian::replication {
namespace {
constexpr size_t kMaxWaiting = 16;
constexpr size_t kMaxComparisons = 4;
// For a member to get to the entry, and for the answers.
constexpr absl::Duration kPatience = absl::Seconds(10);
}  // namespace

void StateComparer::Compare(const std::set<ReplicaId>& voters, const Part& part, LogIndex applied,
                            Done done) {
  if (comparisons_.size() >= kMaxComparisons) {
    return done(absl::ResourceExhaustedError("too many comparisons are under way"));
  }
  const uint64_t id = ++last_id_;
  Comparison& comparison = comparisons_[id];
  comparison.result.index = part.index;
  comparison.missing = voters;
  comparison.deadline = hooks_.now() + kPatience;
  comparison.done = std::move(done);
  for (const ReplicaId& voter : voters) {
    if (voter != peers_.self()) {
      peers_.Send(voter, DigestRequest{id, part.index, part.first, part.end});
    }
  }
  if (!voters.contains(peers_.self())) return;
  Digest(part, applied, [this, id](const auto& digest) { Answered(id, peers_.self(), digest); });
}

void StateComparer::OnRequest(ReplicaId from, const DigestRequest& request, LogIndex applied,
                              bool installing) {
  const auto reply = [this, from, id = request.id](const absl::StatusOr<std::string>& digest) {
    peers_.Send(from, DigestReply{id, digest.status().code(), digest.ok() ? *digest : ""});
  };
  if (installing) return reply(absl::UnavailableError("a snapshot is being installed"));
  Digest({request.index, request.first, request.end}, applied, reply);
}

void StateComparer::Digest(const Part& part, LogIndex applied, Digested done) {
  if (applied > part.index) {
    return done(absl::OutOfRangeError("the replica is past the entry"));
  }
  if (applied == part.index) return Compute(part, done);
  if (waiting_.size() >= kMaxWaiting) {
    return done(absl::ResourceExhaustedError("too many comparisons wait"));
  }
  waiting_.emplace(part.index, Waiting{part, hooks_.now() + kPatience, std::move(done)});
}

void StateComparer::Compute(const Part& part, const Digested& done) {
  digester_.Compute(part.index, hooks_.view(), part.first, part.end, [done](const auto& digest) {
    if (digest.ok()) return done(digest->second);
    done(digest.status());
  });
}

void StateComparer::OnApplied(LogIndex applied) {
  while (!waiting_.empty() && waiting_.begin()->first <= applied) {
    const Waiting due = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    Digest(due.part, applied, due.done);
  }
}

void StateComparer::OnReply(ReplicaId from, const DigestReply& reply) {
  if (reply.code == absl::StatusCode::kOk) return Answered(reply.id, from, reply.digest);
  Answered(reply.id, from, absl::Status(reply.code, "the member has no hash"));
}

void StateComparer::Answered(uint64_t id, ReplicaId voter,
                             const absl::StatusOr<std::string>& digest) {
  const auto found = comparisons_.find(id);
  if (found == comparisons_.end() || found->second.missing.erase(voter) == 0) return;
  found->second.result.digests.emplace(voter, digest);
  if (!found->second.missing.empty()) return;
  const Comparison done = std::move(found->second);
  comparisons_.erase(found);
  done.done(done.result);
}

void StateComparer::Tick() {
  const absl::Duration now = hooks_.now();
  std::vector<Waiting> late;
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    if (it->second.deadline > now) {
      ++it;
      continue;
    }
    late.push_back(std::move(it->second));
    it = waiting_.erase(it);
  }
  for (const Waiting& waiting : late) {
    waiting.done(absl::UnavailableError("the replica does not get to the entry"));
  }
  std::vector<std::pair<uint64_t, ReplicaId>> silent;
  for (const auto& [id, comparison] : comparisons_) {
    if (comparison.deadline > now) continue;
    for (const ReplicaId& voter : comparison.missing) silent.emplace_back(id, voter);
  }
  for (const auto& [id, voter] : silent) {
    Answered(id, voter, absl::UnavailableError("the member does not answer"));
  }
}

void StateComparer::FailAll(const absl::Status& reason) {
  waiting_.clear();
  for (auto& [id, comparison] : std::exchange(comparisons_, {})) comparison.done(reason);
}

}  // namespace meridian::replication
