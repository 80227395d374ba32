#include "storage/journal/journal.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "base/stopwatch.h"
#include "storage/journal/format.h"
#include "storage/journal/group_builder.h"
#include "storage/journal/recovery.h"
#include "storage/journal/segment_file.h"

namespace meridian::storage {
namespace {

using journal_format::kBlockBytes;
using journal_format::kRecordOverheadBytes;
using journal_format::SegmentHeader;

struct Pending {
  JournalRecord record;
  Journal::Done done;
  uint64_t record_bytes = 0;  // framing included
  absl::Status refusal;       // not OK: completed in its turn without being written
  uint64_t offset = 0;        // set when it is written
};

// The queue, the segments and the failure are under the mutex; what the journal's thread alone uses
// is marked so. Files are written without the mutex, by that thread only.
class JournalImpl final : public Journal {
 public:
  JournalImpl(Disk& disk, const RecordSealerFactory& sealers, Random& random,
              JournalOptions options, RecoveredJournal recovered)
      : disk_(disk),
        sealers_(sealers),
        random_(random),
        options_(std::move(options)),
        next_life_(recovered.next_life),
        last_life_(recovered.last_life),
        next_group_(recovered.next_group),
        digest_(recovered.digest),
        next_number_(recovered.next_number),
        lives_(recovered.lives.begin(), recovered.lives.end()),
        free_(std::move(recovered.free)),
        durable_group_(recovered.next_group - 1) {}

  // Makes the reserve of segments, begins this process's first life, starts the thread.
  absl::Status Start() {
    absl::MutexLock lock(&mutex_);
    while (FileCount() < options_.min_segments || free_.empty()) {
      RETURN_IF_ERROR(CreateSegment());
    }
    RETURN_IF_ERROR(BeginLife());
    thread_ = std::thread([this] { Run(); });
    return absl::OkStatus();
  }

  ~JournalImpl() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
      changed_.Signal();
    }
    if (thread_.joinable()) thread_.join();
  }

  void Append(JournalRecord record, Done done) override {
    Pending pending;
    pending.done = std::move(done);
    const uint64_t bytes = PayloadBytes(record) + kRecordOverheadBytes;
    absl::MutexLock lock(&mutex_);
    if (record.type == 0) {
      pending.refusal = absl::InvalidArgumentError("a journal record's type is not 0");
    } else if (bytes > options_.max_record_bytes + kRecordOverheadBytes) {
      pending.refusal = absl::InvalidArgumentError(
          "a journal record holds " + std::to_string(options_.max_record_bytes) +
          " bytes at most, not " + std::to_string(bytes - kRecordOverheadBytes));
    } else if (queued_bytes_ + bytes > options_.max_queued_bytes) {
      pending.refusal = absl::ResourceExhaustedError("too much is waiting for the journal");
    } else {
      pending.record = std::move(record);
      pending.record_bytes = bytes;
      queued_bytes_ += bytes;
    }
    queue_.push_back(std::move(pending));
    if (queue_.size() == 1) changed_.Signal();
  }

  absl::StatusOr<Buffer> Read(const RecordLocation& location) const override {
    std::shared_ptr<SegmentLife> life;
    {
      absl::MutexLock lock(&mutex_);
      if (location.life >= next_life_) {
        return absl::DataLossError("the journal has not reached life " +
                                   std::to_string(location.life));
      }
      life = FindLife(location.life);
    }
    if (life == nullptr) return Recycled(location);
    if (life->header.segment != location.segment) {
      return absl::DataLossError("journal life " + std::to_string(location.life) +
                                 " is not in segment " + std::to_string(location.segment));
    }
    absl::StatusOr<Buffer> payload = ReadRecord(*life, location);
    if (payload.ok()) return payload;
    absl::MutexLock lock(&mutex_);
    // Released while it was read: what was found there may be another life's.
    if (FindLife(location.life) == nullptr) return Recycled(location);
    return payload;
  }

  GroupNumber durable_group() const override {
    absl::MutexLock lock(&mutex_);
    return durable_group_;
  }

  std::vector<SegmentInfo> SegmentsInUse() const override {
    absl::MutexLock lock(&mutex_);
    std::vector<SegmentInfo> infos;
    for (const auto& life : lives_) {
      infos.push_back({.segment = life->header.segment,
                       .life = life->header.life,
                       .first_group = life->header.first_group});
    }
    return infos;
  }

  void ReleaseBefore(uint64_t life) override {
    absl::MutexLock lock(&mutex_);
    while (lives_.size() > 1 && lives_.front()->header.life < life) {
      const SegmentLife& released = *lives_.front();
      free_.push_back({released.file, WrittenBlocks(released)});
      lives_.pop_front();
    }
    changed_.Signal();
  }

  SyncCounts syncs() const override { return syncs_.Read(); }
  absl::Status health() const override { return disk_.health(); }

 private:
  static absl::Status Recycled(const RecordLocation& location) {
    return absl::NotFoundError("journal life " + std::to_string(location.life) +
                               " was released and recycled");
  }

  std::shared_ptr<SegmentLife> FindLife(uint64_t life) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const auto& candidate : lives_) {
      if (candidate->header.life == life) return candidate;
    }
    return nullptr;
  }

  size_t FileCount() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return lives_.size() + free_.size();
  }

  void Run() {
    std::vector<Pending> batch;
    while (TakeBatch(batch)) {
      Complete(batch, WriteGroup(batch));
      batch.clear();
    }
    CancelQueue();
  }

  // Waits for appends and takes the next group's records; makes room for them. False: stopping.
  bool TakeBatch(std::vector<Pending>& batch) {
    absl::MutexLock lock(&mutex_);
    while (!stopping_) {
      if (queue_.empty()) {
        changed_.Wait(&mutex_);
        continue;
      }
      if (failure_.ok() && !Fits(queue_.front().record_bytes)) {
        const absl::Status rolled = Roll();
        if (!rolled.ok() && !stopping_) failure_ = disk_.Fail(rolled);
        continue;
      }
      FillBatch(batch);
      return true;
    }
    return false;
  }

  bool Fits(uint64_t record_bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const SegmentLife& active = *lives_.back();
    return active.end_block + journal_format::BlocksOfGroup(record_bytes) <=
           active.file->block_count();
  }

  void FillBatch(std::vector<Pending>& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    uint64_t bytes = 0;
    while (!queue_.empty()) {
      const uint64_t with_next = bytes + queue_.front().record_bytes;
      if (!batch.empty() && (with_next > options_.max_group_bytes || !Fits(with_next))) break;
      bytes = with_next;
      batch.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
  }

  // Writes the group of a batch; OK: durable.
  absl::Status WriteGroup(std::vector<Pending>& batch) {
    uint64_t record_bytes = 0;
    for (const Pending& pending : batch) record_bytes += pending.record_bytes;
    if (record_bytes == 0) return absl::OkStatus();  // refusals only
    RETURN_IF_ERROR(failure_);
    const std::shared_ptr<SegmentLife> life = ActiveLife();
    const uint32_t first_block = life->end_block;
    GroupBuilder group(life->file->format(), first_block, record_bytes);
    uint64_t records = 0;
    for (Pending& pending : batch) {
      if (!pending.refusal.ok()) continue;
      pending.offset = group.Add(pending.record, next_sequence_++, *life->sealer);
      ++records;
    }
    const uint32_t digest = group.Finish(
        {.life = life->header.life, .number = next_group_, .previous_digest = digest_});
    const Stopwatch stopwatch;
    const absl::Status written = life->file->WriteBlocks(first_block, group.image());
    syncs_.Count(stopwatch.Elapsed(), records, group.image().size());
    if (!written.ok()) {
      // Whatever the error, the segment may be torn here: nothing may follow.
      failure_ = disk_.Fail(written);
      return failure_;
    }
    digest_ = digest;
    absl::MutexLock lock(&mutex_);
    life->end_block = first_block + group.block_count();
    durable_group_ = next_group_++;
    return absl::OkStatus();
  }

  void Complete(std::vector<Pending>& batch, const absl::Status& written) {
    uint64_t bytes = 0;
    for (const Pending& pending : batch) bytes += pending.record_bytes;
    const std::shared_ptr<SegmentLife> life = ActiveLife();
    {
      absl::MutexLock lock(&mutex_);
      queued_bytes_ -= bytes;
    }
    for (Pending& pending : batch) {
      if (!pending.refusal.ok()) {
        pending.done(pending.refusal);
      } else if (!written.ok()) {
        pending.done(written);
      } else {
        const auto length = static_cast<uint32_t>(pending.record_bytes - kRecordOverheadBytes);
        pending.done(Appended{.location = {.segment = life->header.segment,
                                           .life = life->header.life,
                                           .offset = pending.offset,
                                           .length = length},
                              .group = next_group_ - 1});
      }
    }
  }

  void CancelQueue() {
    std::deque<Pending> queue;
    {
      absl::MutexLock lock(&mutex_);
      queue.swap(queue_);
    }
    for (Pending& pending : queue) pending.done(absl::CancelledError("the journal is closed"));
  }

  // The life being written. Only the journal's thread changes which one it is.
  std::shared_ptr<SegmentLife> ActiveLife() const {
    absl::MutexLock lock(&mutex_);
    return lives_.back();
  }

  // Goes on in another segment; waits until there is one.
  absl::Status Roll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    bool no_space = false;
    // The last free file is kept back for the restart after a crash.
    while (free_.size() < 2) {
      if (FileCount() < options_.max_segments && !no_space) {
        const absl::Status created = CreateSegment();
        no_space = absl::IsResourceExhausted(created);
        if (!created.ok() && !no_space) return created;
      } else {
        TellPressure();
        while (free_.size() < 2 && !stopping_) changed_.Wait(&mutex_);
      }
      if (stopping_) return absl::CancelledError("the journal is closed");
    }
    RETURN_IF_ERROR(BeginLife());
    if (lives_.size() >= options_.pressure_segments) TellPressure();
    return absl::OkStatus();
  }

  void TellPressure() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (options_.on_pressure == nullptr) return;
    mutex_.Unlock();
    options_.on_pressure();
    mutex_.Lock();
  }

  absl::Status CreateSegment() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const uint32_t number = next_number_++;
    mutex_.Unlock();
    absl::StatusOr<std::shared_ptr<SegmentFile>> file =
        SegmentFile::Create(disk_, options_.dir, number, options_.disk_id, options_.segment_bytes);
    mutex_.Lock();
    RETURN_IF_ERROR(file.status());
    free_.push_back({*std::move(file), journal_format::kFirstGroupBlock});
    return absl::OkStatus();
  }

  // Takes a free file, which there is, and makes it the life being written.
  absl::Status BeginLife() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    // The longest unused first: its records stay readable as long as can be, for forensics.
    const FreeSegment taken = free_.front();
    free_.erase(free_.begin());
    const uint64_t number = next_life_++;
    auto life = std::make_shared<SegmentLife>();
    life->file = taken.file;
    life->header = SegmentHeader{
        .segment = taken.file->number(),
        .disk_id = options_.disk_id,
        .life = number,
        .previous_life = last_life_,
        .first_group = next_group_,
        .previous_digest = digest_,
        .segment_bytes = taken.file->header().segment_bytes,
        .oldest_life = lives_.empty() ? number : lives_.front()->header.life,
        .written_blocks = taken.written_blocks,
        .salt = std::string(kSegmentSaltBytes, '\0'),
    };
    mutex_.Unlock();
    absl::Status begun = WriteLife(*life);
    mutex_.Lock();
    RETURN_IF_ERROR(begun);
    lives_.push_back(std::move(life));
    last_life_ = number;
    next_sequence_ = 1;
    return absl::OkStatus();
  }

  absl::Status WriteLife(SegmentLife& life) {
    random_.Fill({reinterpret_cast<uint8_t*>(life.header.salt.data()), life.header.salt.size()});
    ASSIGN_OR_RETURN(life.sealer, sealers_.NewSealer(options_.disk_id, life.header.salt));
    return life.file->WriteHeader(life.header);
  }

  Disk& disk_;
  const RecordSealerFactory& sealers_;
  Random& random_;
  const JournalOptions options_;
  SyncMeter syncs_;

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;  // the queue, the free segments, stopping
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Pending> queue_ ABSL_GUARDED_BY(mutex_);
  uint64_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // queued or being written
  uint64_t next_life_ ABSL_GUARDED_BY(mutex_);

  // Used by the journal's thread only, once it runs.
  uint64_t last_life_;
  GroupNumber next_group_;
  uint32_t digest_;
  uint32_t next_number_;
  uint64_t next_sequence_ = 1;  // in the life being written
  absl::Status failure_;        // the first one: nothing is written after it

  // The last one is being written.
  std::deque<std::shared_ptr<SegmentLife>> lives_ ABSL_GUARDED_BY(mutex_);
  std::vector<FreeSegment> free_ ABSL_GUARDED_BY(mutex_);
  GroupNumber durable_group_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

absl::Status CheckOptions(const JournalOptions& options) {
  const uint64_t blocks =
      journal_format::BlocksOfGroup(options.max_record_bytes + kRecordOverheadBytes);
  const uint64_t needed = (blocks + journal_format::kFirstGroupBlock) * kBlockBytes;
  if (options.segment_bytes % kDirectUnitBytes != 0 || options.segment_bytes < needed) {
    return absl::InvalidArgumentError(
        "journal segments of " + std::to_string(options.segment_bytes) +
        " bytes cannot hold a record of " + std::to_string(options.max_record_bytes));
  }
  if (options.min_segments < 3 || options.max_segments < options.min_segments) {
    return absl::InvalidArgumentError("a journal needs at least 3 segments");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(Disk& disk,
                                                       const RecordSealerFactory& sealers,
                                                       Random& random, JournalOptions options,
                                                       const Visitor& visitor) {
  RETURN_IF_ERROR(CheckOptions(options));
  RETURN_IF_ERROR(disk.CreateDir(options.dir));
  RETURN_IF_ERROR(disk.SyncDir(FolderOf(options.dir)));
  ASSIGN_OR_RETURN(RecoveredJournal recovered, RecoverJournal(disk, sealers, options, visitor));
  for (const FreeSegment& segment : recovered.free) {
    if (segment.file->header().segment_bytes < options.segment_bytes) {
      return absl::FailedPreconditionError(
          "the journal's segments have " + std::to_string(segment.file->header().segment_bytes) +
          " bytes, fewer than the " + std::to_string(options.segment_bytes) + " asked for");
    }
  }
  auto journal = std::make_unique<JournalImpl>(disk, sealers, random, std::move(options),
                                               std::move(recovered));
  RETURN_IF_ERROR(journal->Start());
  return journal;
}

}  // namespace meridian::storage
