#include "replication/digester.h"

namespace meridian::replication {
namespace {
constexpr size_t kMaxPending = 4;
}  // namespace

void Digester::Compute(LogIndex index, std::unique_ptr<storage::KvReader> view, std::string first,
                       std::string end, Done done) {
  if (pending_.size() >= kMaxPending) {
    return done(absl::ResourceExhaustedError("too many digests are being computed"));
  }
  uint64_t id = ++last_id_;
  pending_[id] = std::move(done);
  if (!own_thread_) return Finish(id, index, state_machine_.DigestRange(*view, first, end));
  if (!worker_) worker_ = MakeThreadExecutor("digest");
  // `this` is used on the strand only, where the inbox drops the task if it is gone.
  worker_->Post([this, id, index, view = std::shared_ptr<storage::KvReader>(std::move(view)),
                 first = std::move(first), end = std::move(end), &state_machine = state_machine_,
                 strand = strand_] {
    auto digest = state_machine.DigestRange(*view, first, end);
    strand.Post([this, id, index, digest = std::move(digest)]() mutable {
      Finish(id, index, std::move(digest));
    });
  });
}

void Digester::Finish(uint64_t id, LogIndex index, absl::StatusOr<std::string> digest) {
  auto it = pending_.find(id);
  if (it == pending_.end()) return;
  Done done = std::move(it->second);
  pending_.erase(it);
  if (pending_.empty()) worker_.reset();
  if (!digest.ok()) return done(digest.status());
  done(std::make_pair(index, *std::move(digest)));
}

void Digester::FailAll(const absl::Status& reason) {
  for (auto& [id, done] : std::exchange(pending_, {})) done(reason);
}

}  // namespace meridian::replication
