#include "storage/store/commit_pipeline.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"

namespace meridian::storage {
namespace {

constexpr absl::Duration kRetryWhenFull = absl::Milliseconds(100);

}  // namespace

CommitPipeline::CommitPipeline(DiskIndex& index, Executor& strand, OutOfService& out_of_service,
                               uint64_t max_queued_bytes)
    : index_(index),
      strand_(strand),
      out_of_service_(out_of_service),
      max_queued_bytes_(max_queued_bytes) {}

CommitPipeline::~CommitPipeline() { Stop(); }

void CommitPipeline::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  if (thread_.joinable()) thread_.join();
  std::vector<Completion> left;
  {
    absl::MutexLock lock(&mutex_);
    left.swap(queue_);
  }
  Cancel(left);
}

void CommitPipeline::Start(Journal& journal) {
  journal_ = &journal;
  thread_ = std::thread([this] { Run(); });
}

absl::Status CommitPipeline::Reserve(uint64_t bytes) const {
  absl::MutexLock lock(&mutex_);
  if (!stopping_ && queued_bytes_ > 0 && queued_bytes_ + bytes > max_queued_bytes_) {
    return absl::ResourceExhaustedError("too much is waiting for the disk's journal");
  }
  return absl::OkStatus();
}

void CommitPipeline::Append(RecordType type, ReplicaId owner, std::vector<Buffer> payload,
                            Done done) {
  Completion completion;
  completion.type = type;
  completion.owner = owner;
  completion.head = payload.front();
  completion.done = std::move(done);
  AppendRecord({.type = static_cast<uint8_t>(type), .owner = owner, .payload = std::move(payload)},
               std::move(completion));
}

absl::Status CommitPipeline::AppendAndWait(RecordType type, ReplicaId owner, Buffer payload) {
  // Outlives a wait that was given up.
  auto result = std::make_shared<std::optional<absl::Status>>();
  Completion completion;
  completion.type = type;
  completion.owner = owner;
  completion.head = payload;
  completion.on_strand = false;
  completion.done = [this, result](absl::Status status) {
    absl::MutexLock lock(&mutex_);
    *result = std::move(status);
    changed_.SignalAll();
  };
  AppendRecord(
      {.type = static_cast<uint8_t>(type), .owner = owner, .payload = {std::move(payload)}},
      std::move(completion));
  const absl::Time end = absl::Now() + kMaxWait;
  absl::MutexLock lock(&mutex_);
  while (!result->has_value() && !waits_for_space_) {
    if (changed_.WaitWithDeadline(&mutex_, end)) break;
  }
  if (result->has_value()) return **result;
  if (waits_for_space_) {
    return absl::ResourceExhaustedError("rows of journal records wait for space");
  }
  return absl::DeadlineExceededError("the disk's journal takes too long");
}

void CommitPipeline::AppendRecord(JournalRecord record, Completion completion) {
  for (const Buffer& part : record.payload) completion.bytes += part.size();
  {
    absl::MutexLock lock(&mutex_);
    queued_bytes_ += completion.bytes;
  }
  auto shared = std::make_shared<Completion>(std::move(completion));
  journal_->Append(std::move(record),
                   [this, shared](const absl::StatusOr<Journal::Appended>& result) {
                     shared->result = result;
                     absl::ReleasableMutexLock lock(&mutex_);
                     if (stopping_) {
                       lock.Release();
                       std::vector<Completion> late;
                       late.push_back(std::move(*shared));
                       return Cancel(late);
                     }
                     queue_.push_back(std::move(*shared));
                     ++completed_;
                     if (queue_.size() == 1) changed_.SignalAll();
                   });
}

void CommitPipeline::Run() {
  std::vector<Completion> batch;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      while (queue_.empty() && !stopping_) changed_.Wait(&mutex_);
      if (stopping_) return;
      batch.swap(queue_);
    }
    Process(batch);
    batch.clear();
  }
}

void CommitPipeline::Process(std::vector<Completion>& batch) {
  std::vector<DiskIndex::Record> records;
  uint64_t bytes = 0;
  for (Completion& completion : batch) {
    bytes += completion.bytes;
    if (!completion.result.ok()) {
      if (completion.type != RecordType::kChunkPlaced) refused_.insert(completion.owner);
    } else {
      const bool refused =
          completion.type != RecordType::kChunkPlaced && refused_.contains(completion.owner);
      records.push_back({.type = completion.type,
                         .owner = completion.owner,
                         .payload = completion.head.view(),
                         .location = completion.result->location,
                         .group = completion.result->group,
                         .refused = refused});
      if (refused) {
        completion.result = absl::AbortedError("an earlier record of the replica was refused");
      }
    }
  }
  if (failure_.ok()) failure_ = out_of_service_.health();
  if (failure_.ok()) failure_ = Index(records);
  if (absl::IsResourceExhausted(failure_)) return Cancel(batch);  // stopping, and no space came
  Answer(batch, failure_);
  absl::MutexLock lock(&mutex_);
  queued_bytes_ -= bytes;
  processed_ += batch.size();
  changed_.SignalAll();
}

void CommitPipeline::Cancel(std::vector<Completion>& batch) {
  Tell(batch, absl::CancelledError("the disk is closed"));
}

absl::Status CommitPipeline::Index(std::span<const DiskIndex::Record> records) {
  absl::Status status = index_.Add(records);
  while (absl::IsResourceExhausted(status)) {
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return status;
      if (!std::exchange(waits_for_space_, true)) changed_.SignalAll();
      changed_.WaitWithTimeout(&mutex_, kRetryWhenFull);
    }
    status = index_.Add(records);
  }
  absl::MutexLock lock(&mutex_);
  waits_for_space_ = false;
  return status;
}

void CommitPipeline::Answer(std::vector<Completion>& batch, const absl::Status& indexed) {
  if (!indexed.ok()) out_of_service_.Fail(absl::UnavailableError(indexed.ToString())).IgnoreError();
  for (const Completion& completion : batch) {
    if (!completion.result.ok()) out_of_service_.Check();
  }
  Tell(batch, indexed);
}

void CommitPipeline::Tell(std::vector<Completion>& batch, const absl::Status& told) {
  std::vector<std::pair<Done, absl::Status>> answers;
  for (Completion& completion : batch) {
    absl::Status status = completion.result.ok() ? told : completion.result.status();
    if (completion.done == nullptr) continue;
    if (completion.on_strand) {
      answers.emplace_back(std::move(completion.done), std::move(status));
    } else {
      completion.done(std::move(status));
    }
  }
  if (answers.empty()) return;
  strand_.Post([answers = std::move(answers)] {
    for (const auto& [done, status] : answers) done(status);
  });
}

absl::Status CommitPipeline::WaitUntilIndexed() {
  absl::MutexLock lock(&mutex_);
  const uint64_t target = completed_;
  while (processed_ < target && !stopping_ && !waits_for_space_) changed_.Wait(&mutex_);
  if (processed_ < target && waits_for_space_) {
    return absl::ResourceExhaustedError("rows of journal records wait for space");
  }
  return processed_ < target ? absl::CancelledError("the disk is closed") : absl::OkStatus();
}

uint64_t CommitPipeline::waiting_bytes() const {
  absl::MutexLock lock(&mutex_);
  return queued_bytes_;
}

}  // namespace meridian::storage
