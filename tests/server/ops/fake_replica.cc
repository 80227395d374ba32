#include "tests/server/ops/fake_replica.h"

#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/status.h"

namespace meridian::ops {

struct FakeReplica::Pins {
  absl::Mutex mutex;
  std::map<RunId, int> counts ABSL_GUARDED_BY(mutex);
};

std::shared_ptr<FakeReplica::Pins> FakeReplica::MakePins() { return std::make_shared<Pins>(); }

absl::StatusOr<replication::Applied> FakeReplica::Apply(const replication::Proposal& proposal) {
  storage::LogEntry entry;
  entry.epoch = Epoch(1);
  entry.index = last_index_ + 1;
  entry.timestamp = Timestamp(static_cast<uint64_t>(++now_us_));
  entry.command = proposal.command;
  entry.inline_body = proposal.inline_body;
  entry.inline_run = proposal.inline_run;
  entry.inline_crc32c = proposal.inline_crc32c;
  entry.chunks = proposal.chunks;
  if (!entry.inline_body.empty()) {
    chunks_[{.run = entry.inline_run, .number = 0}] = std::string(entry.inline_body.view());
  }
  for (const storage::ChunkRange& range : entry.chunks) {
    for (uint32_t i = 0; i < range.count; ++i) {
      if (chunks_.count({.run = range.run, .number = range.first + i}) == 0) {
        return absl::InternalError("the entry references a chunk that was not written (I4)");
      }
    }
  }
  storage::KvBatch batch;
  ASSIGN_OR_RETURN(std::string outcome, machine_.Apply(entry, *kv_.NewView(), batch));
  kv_.Apply(batch);
  last_index_ = entry.index;
  return replication::Applied{
      .outcome = std::move(outcome), .index = entry.index, .timestamp = entry.timestamp};
}

void FakeReplica::Propose(replication::Proposal proposal,
                          std::function<void(absl::StatusOr<replication::Applied>)> done) {
  std::function<void()> before;
  {
    absl::MutexLock lock(&mutex_);
    before = std::exchange(before_next_, nullptr);
  }
  if (before) before();
  absl::StatusOr<replication::Applied> answer = absl::InternalError("unset");
  {
    absl::MutexLock lock(&mutex_);
    ++proposals_;
    const absl::Status error = std::exchange(next_error_, absl::OkStatus());
    if (error.ok() || next_applied_) answer = Apply(proposal);
    if (!error.ok()) answer = error;
  }
  done(std::move(answer));
}

void FakeReplica::ConfirmRead(std::function<void(absl::Status)> done) {
  absl::Status error;
  {
    absl::MutexLock lock(&mutex_);
    error = read_error_;
  }
  done(error);
}

void FakeReplica::WriteChunk(storage::ChunkId chunk, Buffer ciphertext, uint32_t crc32c,
                             std::function<void(absl::Status)> done) {
  CHECK_INVARIANT(Crc32c(ciphertext.view()) == crc32c, "a chunk with another checksum");
  absl::Status error;
  {
    absl::MutexLock lock(&mutex_);
    open_runs_.insert(chunk.run);
    error = chunk_error_;
    if (error.ok()) chunks_[chunk] = std::string(ciphertext.view());
    if (holding_) {
      held_.push_back([done = std::move(done), error] { done(error); });
      return;
    }
  }
  done(error);
}

void FakeReplica::EndRun(RunId run) {
  absl::MutexLock lock(&mutex_);
  open_runs_.erase(run);
}

absl::StatusOr<Buffer> FakeReplica::ReadChunk(storage::ChunkId chunk, size_t offset, size_t size,
                                              absl::Duration) {
  absl::MutexLock lock(&mutex_);
  const auto it = chunks_.find(chunk);
  if (it == chunks_.end()) return absl::NotFoundError("no such chunk");
  return Buffer::FromString(it->second.substr(offset, size));
}

void FakeReplica::FetchChunk(storage::ChunkId, std::function<void(absl::StatusOr<Buffer>)> done) {
  done(absl::UnavailableError("there is no peer"));
}

std::shared_ptr<void> FakeReplica::PinRun(RunId run) {
  absl::MutexLock lock(&pins_->mutex);
  ++pins_->counts[run];
  return std::shared_ptr<void>(nullptr, [pins = pins_, run](void*) {
    absl::MutexLock lock(&pins->mutex);
    if (--pins->counts[run] == 0) pins->counts.erase(run);
  });
}

void FakeReplica::ChangeMembers(std::vector<replication::Member>,
                                std::function<void(absl::Status)> done) {
  done(absl::UnimplementedError("a fake group has one member"));
}

void FakeReplica::OfferLeadership(ReplicaId, std::function<void(absl::Status)> done) {
  done(absl::UnimplementedError("a fake group has one member"));
}

void FakeReplica::GetStatus(std::function<void(replication::ReplicaStatus)> done) {
  replication::ReplicaStatus status;
  status.is_leader = true;
  status.is_serving = true;
  done(status);
}

void FakeReplica::GetDigest(
    std::function<void(absl::StatusOr<std::pair<LogIndex, std::string>>)> done) {
  absl::StatusOr<std::string> digest = machine_.Digest(*kv_.NewView());
  LogIndex index;
  {
    absl::MutexLock lock(&mutex_);
    index = last_index_;
  }
  if (!digest.ok()) return done(digest.status());
  done(std::make_pair(index, *std::move(digest)));
}

void FakeReplica::FailNextProposal(absl::Status status, bool applied) {
  absl::MutexLock lock(&mutex_);
  next_error_ = std::move(status);
  next_applied_ = applied;
}

void FakeReplica::FailChunkWrites(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  chunk_error_ = std::move(status);
}

void FakeReplica::FailReads(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  read_error_ = std::move(status);
}

void FakeReplica::BeforeNextProposal(std::function<void()> action) {
  absl::MutexLock lock(&mutex_);
  before_next_ = std::move(action);
}

void FakeReplica::HoldChunkWrites() {
  absl::MutexLock lock(&mutex_);
  holding_ = true;
}

void FakeReplica::ReleaseChunkWrites() {
  std::vector<std::function<void()>> held;
  {
    absl::MutexLock lock(&mutex_);
    holding_ = false;
    held.swap(held_);
  }
  for (const auto& answer : held) answer();
}

size_t FakeReplica::held_chunk_writes() const {
  absl::MutexLock lock(&mutex_);
  return held_.size();
}

void FakeReplica::CollectGarbage() {
  absl::MutexLock lock(&mutex_);
  const auto held = [this](RunId run) {
    absl::MutexLock pins_lock(&pins_->mutex);
    return pins_->counts.count(run) > 0;
  };
  const auto garbage = machine_.CollectGarbage(*kv_.NewView(), last_index_, 1000, held);
  CHECK_INVARIANT(garbage.ok(), garbage.status().ToString().c_str());
  for (const storage::StateMachine::Garbage& item : *garbage) {
    kv_.Apply(item.forget);
    std::erase_if(chunks_, [&item](const auto& chunk) { return chunk.first.run == item.run; });
  }
}

size_t FakeReplica::chunk_count() const {
  absl::MutexLock lock(&mutex_);
  return chunks_.size();
}

bool FakeReplica::HasOpenRuns() const {
  absl::MutexLock lock(&mutex_);
  return !open_runs_.empty();
}

void FakeReplica::CorruptChunks() {
  absl::MutexLock lock(&mutex_);
  for (auto& [chunk, bytes] : chunks_) bytes[bytes.size() / 2] ^= 1;
}

void FakeReplica::DropChunks() {
  absl::MutexLock lock(&mutex_);
  chunks_.clear();
}

void FakeReplica::EditRow(char tag, const std::function<void(std::string&)>& edit) {
  absl::MutexLock lock(&mutex_);
  for (auto& [key, value] : kv_.Rows()) {
    if (key[0] != tag) continue;
    std::string edited = value;
    edit(edited);
    storage::KvBatch batch;
    batch.Put(key, std::move(edited));
    kv_.Apply(batch);
    return;
  }
  CHECK_INVARIANT(false, "there is no such row");
}

void FakeReplica::Advance(absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  now_us_ += absl::ToInt64Microseconds(duration);
}

size_t FakeReplica::proposals() const {
  absl::MutexLock lock(&mutex_);
  return proposals_;
}

}  // namespace meridian::ops
