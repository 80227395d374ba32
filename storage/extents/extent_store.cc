#include "storage/extents/extent_store.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "base/stopwatch.h"
#include "storage/extents/extent_file.h"
#include "storage/extents/extent_table.h"

namespace meridian::storage {
namespace {

using extent_format::FileHeader;
using extent_format::kFirstRecordOffset;
using extent_format::RecordBytes;
using extent_format::RecordHeader;

// How many extents' space a write leaves to those that matter more on a full disk.
enum class Leaves : uint64_t { kTwo = 2, kOne = 1, kNone = 0 };

struct Pending {
  ChunkIdentity identity;
  Buffer ciphertext;
  uint64_t queued_bytes = 0;
  Leaves leaves = Leaves::kTwo;
  ExtentStore::Done done;
  absl::StatusOr<ChunkLocation> outcome = ChunkLocation();  // not OK: not written
};

// Table and queue are under the mutex. Files are written by the store's thread only, without it.
class ExtentStoreImpl final : public ExtentStore {
 public:
  ExtentStoreImpl(Disk& disk, ExtentOptions options) : disk_(disk), options_(std::move(options)) {}

  absl::Status OpenFiles() {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, disk_.List(options_.dir));
    absl::MutexLock lock(&mutex_);
    for (const std::string& name : names) {
      const std::optional<uint32_t> number = ExtentFile::NumberOf(name);
      if (!number) {
        // What a crash left of making an extent; the name is given when it is complete.
        RETURN_IF_ERROR(disk_.Remove(options_.dir + "/" + name));
        continue;
      }
      ASSIGN_OR_RETURN(std::shared_ptr<ExtentFile> file,
                       ExtentFile::Open(disk_, options_.dir, *number, options_.disk_id));
      table_.Add(std::move(file));
    }
    return absl::OkStatus();
  }

  ~ExtentStoreImpl() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
      changed_.Signal();
    }
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Reference(const ChunkLocation& location) override {
    absl::MutexLock lock(&mutex_);
    CHECK_INVARIANT(!recovered_, "references are told during recovery");
    return table_.Reference(location);
  }

  absl::Status FinishRecovery() override {
    absl::MutexLock lock(&mutex_);
    CHECK_INVARIANT(!recovered_, "recovery ends once");
    recovered_ = true;
    thread_ = std::thread([this] { Run(); });
    return absl::OkStatus();
  }

  void Append(const ChunkIdentity& identity, Buffer ciphertext, Done done) override {
    Enqueue(identity, std::move(ciphertext), Leaves::kTwo, std::move(done));
  }
  void Restore(const ChunkIdentity& identity, Buffer ciphertext, Done done) override {
    Enqueue(identity, std::move(ciphertext), Leaves::kOne, std::move(done));
  }
  void Relocate(const ChunkIdentity& identity, Buffer ciphertext, Done done) override {
    Enqueue(identity, std::move(ciphertext), Leaves::kNone, std::move(done));
  }

  absl::StatusOr<Buffer> Read(const ChunkLocation& location, const ChunkIdentity& expected,
                              size_t offset, size_t size) const override {
    if (offset > location.length || size > location.length - offset) {
      return absl::OutOfRangeError("a chunk of " + std::to_string(location.length) +
                                   " bytes has no range [" + std::to_string(offset) + ", +" +
                                   std::to_string(size) + ")");
    }
    ASSIGN_OR_RETURN(const std::shared_ptr<ExtentFile> file, FileOf(location));
    const absl::StatusOr<Buffer> whole =
        file->ReadRecord({.identity = expected, .location = location});
    if (whole.ok()) return whole->Slice(offset, size);
    // If it was recycled meanwhile, this says so.
    RETURN_IF_ERROR(FileOf(location).status());
    return whole.status();
  }

  absl::Status Verify(const ChunkLocation& location, const ChunkIdentity& expected) const override {
    ASSIGN_OR_RETURN(const std::shared_ptr<ExtentFile> file, FileOf(location));
    const absl::StatusOr<Buffer> whole =
        file->ReadRecordFromMedium({.identity = expected, .location = location});
    if (whole.ok()) return absl::OkStatus();
    // If it was recycled meanwhile, this says so.
    RETURN_IF_ERROR(FileOf(location).status());
    return whole.status();
  }

  void MarkFree(const ChunkLocation& location) override {
    absl::MutexLock lock(&mutex_);
    table_.MarkFree(location);
  }

  std::vector<ExtentInfo> Extents() const override {
    absl::MutexLock lock(&mutex_);
    return table_.List();
  }

  absl::Status Evacuate(uint32_t extent, const Evacuation& evacuation) override {
    ChunkLocation at{.extent = extent, .offset = kFirstRecordOffset};
    uint64_t end = 0;
    {
      absl::MutexLock lock(&mutex_);
      const Extent* found = table_.Find(extent);
      if (found == nullptr || found->state == Extent::State::kOpen ||
          found->state == Extent::State::kFree) {
        return absl::FailedPreconditionError("extent " + std::to_string(extent) +
                                             " is open, free or not there");
      }
      table_.Retire(extent);
      at.generation = found->generation;
      end = found->end;
    }
    while (at.offset < end) {
      const absl::StatusOr<std::shared_ptr<ExtentFile>> file = FileOf(at);
      if (absl::IsNotFound(file.status())) break;  // all of it was freed meanwhile, and recycled
      RETURN_IF_ERROR(file.status());
      absl::StatusOr<std::optional<RecordHeader>> record =
          (*file)->FindRecord(at.offset, at.generation);
      // A sector that cannot be read is as good as damaged: it must not hold the others.
      if (absl::IsUnavailable(record.status()) && disk_.health().ok()) record = std::nullopt;
      RETURN_IF_ERROR(record.status());
      if (!*record) {
        at.offset += kDirectUnitBytes;  // damaged, or never completed: the next one may be whole
        continue;
      }
      RETURN_IF_ERROR(Move(**file, **record, evacuation));
      at.offset += RecordBytes((*record)->location.length);
    }
    return absl::OkStatus();
  }

  SyncCounts syncs() const override { return syncs_.Read(); }
  absl::Status health() const override { return disk_.health(); }

 private:
  void Enqueue(const ChunkIdentity& identity, Buffer ciphertext, Leaves leaves, Done done) {
    Pending pending;
    pending.identity = identity;
    pending.leaves = leaves;
    pending.done = std::move(done);
    absl::MutexLock lock(&mutex_);
    CHECK_INVARIANT(recovered_, "nothing is allocated before all references are told");
    if (ciphertext.empty() || ciphertext.size() > options_.max_chunk_bytes) {
      pending.outcome = absl::InvalidArgumentError(
          "a chunk holds 1 to " + std::to_string(options_.max_chunk_bytes) + " bytes, not " +
          std::to_string(ciphertext.size()));
    } else if (queued_bytes_ + ciphertext.size() > options_.max_queued_bytes) {
      pending.outcome = absl::ResourceExhaustedError("too much is waiting for the extents");
    } else {
      pending.queued_bytes = ciphertext.size();
      pending.ciphertext = std::move(ciphertext);
      queued_bytes_ += pending.queued_bytes;
    }
    queue_.push_back(std::move(pending));
    if (queue_.size() == 1) changed_.Signal();
  }

  // NOT_FOUND if the location's generation has ended; DATA_LOSS if it never was.
  absl::StatusOr<std::shared_ptr<ExtentFile>> FileOf(const ChunkLocation& location) const {
    absl::MutexLock lock(&mutex_);
    const Extent* extent = table_.Find(location.extent);
    const std::string where = "extent " + std::to_string(location.extent) + " generation " +
                              std::to_string(location.generation);
    if (extent == nullptr || location.generation > extent->generation) {
      return absl::DataLossError(where + " was never written");
    }
    if (location.generation < extent->generation) {
      return absl::NotFoundError(where + " was recycled");
    }
    return extent->file;
  }

  // One record of an evacuation.
  absl::Status Move(const ExtentFile& file, const RecordHeader& record,
                    const Evacuation& evacuation) {
    ASSIGN_OR_RETURN(const bool live, evacuation.is_live(record.identity, record.location));
    if (!live) return absl::OkStatus();
    absl::StatusOr<Buffer> ciphertext = file.ReadRecord(record);
    if (!ciphertext.ok()) return evacuation.damaged(record.identity, record.location);
    absl::Notification written;
    absl::StatusOr<ChunkLocation> copy;
    Relocate(record.identity, *std::move(ciphertext), [&](const absl::StatusOr<ChunkLocation>& to) {
      copy = to;
      written.Notify();
    });
    written.WaitForNotification();
    RETURN_IF_ERROR(copy.status());
    return evacuation.moved(record.identity, record.location, *copy);
  }

  void Run() {
    std::vector<Pending> batch;
    while (TakeBatch(batch)) {
      WriteBatch(batch);
      Complete(batch);
      batch.clear();
    }
    CancelQueue();
  }

  // False: stopping.
  bool TakeBatch(std::vector<Pending>& batch) {
    absl::MutexLock lock(&mutex_);
    while (queue_.empty() && !stopping_) changed_.Wait(&mutex_);
    if (stopping_) return false;
    uint64_t bytes = 0;
    while (!queue_.empty()) {
      bytes += queue_.front().ciphertext.size();
      if (!batch.empty() && bytes > options_.max_batch_bytes) break;
      batch.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    return true;
  }

  // Leaves in each outcome where the chunk is durable, or why it is not.
  void WriteBatch(std::vector<Pending>& batch) {
    std::set<std::shared_ptr<ExtentFile>> written;
    for (Pending& pending : batch) {
      if (!pending.outcome.ok()) continue;
      pending.outcome = Write(pending, written);
    }
    const absl::Status synced = Sync(batch, written);
    if (synced.ok()) return;
    for (Pending& pending : batch) {
      if (pending.outcome.ok()) pending.outcome = synced;
    }
  }

  absl::Status Sync(const std::vector<Pending>& batch,
                    const std::set<std::shared_ptr<ExtentFile>>& written) {
    absl::Status synced = disk_.health();
    const Stopwatch stopwatch;
    for (const auto& file : written) synced.Update(file->Sync());
    if (written.empty()) return synced;
    uint64_t records = 0, bytes = 0;
    for (const Pending& pending : batch) {
      if (!pending.outcome.ok()) continue;
      ++records;
      bytes += RecordBytes(pending.outcome->length);
    }
    syncs_.Count(stopwatch.Elapsed(), records, bytes);
    return synced;
  }

  absl::StatusOr<ChunkLocation> Write(const Pending& pending,
                                      std::set<std::shared_ptr<ExtentFile>>& written) {
    RETURN_IF_ERROR(disk_.health());
    // Bytes that were damaged on their way here must not be kept as if they were whole.
    if (Crc32c(pending.ciphertext.view()) != pending.identity.crc32c) {
      return absl::InvalidArgumentError("a chunk's bytes do not match their checksum");
    }
    const auto length = static_cast<uint32_t>(pending.ciphertext.size());
    ASSIGN_OR_RETURN(const ChunkLocation location, Allocate(length, pending.leaves));
    ASSIGN_OR_RETURN(const std::shared_ptr<ExtentFile> file, FileOf(location));
    const absl::Status status = file->WriteRecord(
        {.identity = pending.identity, .location = location}, pending.ciphertext.view());
    if (!status.ok()) {
      MarkFree(location);
      return status;
    }
    written.insert(file);
    return location;
  }

  absl::StatusOr<ChunkLocation> Allocate(uint32_t length, Leaves leaves) {
    absl::MutexLock lock(&mutex_);
    std::optional<ChunkLocation> location = table_.Allocate(length);
    while (!location) {
      RETURN_IF_ERROR(OpenAnother(RecordBytes(length), leaves));
      location = table_.Allocate(length);
    }
    return *location;
  }

  // Opens an extent, not always one with that much room: the end of a partly filled one is found
  // only by looking.
  absl::Status OpenAnother(uint64_t record_bytes, Leaves leaves)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    table_.Close();
    const Extent* next = table_.NextToOpen(record_bytes);
    if (next == nullptr) {
      RETURN_IF_ERROR(CreateExtent(leaves));
      next = table_.NextToOpen(record_bytes);
      CHECK_INVARIANT(next != nullptr, "a new extent holds any chunk");
    }
    const std::shared_ptr<ExtentFile> file = next->file;
    const bool partial = next->state == Extent::State::kPartial;
    const uint64_t generation = partial ? next->generation : next->generation + 1;
    const uint64_t begin = partial ? next->end : kFirstRecordOffset;
    mutex_.Unlock();
    const absl::StatusOr<uint64_t> end = Begin(*file, partial, generation, begin);
    mutex_.Lock();
    RETURN_IF_ERROR(end.status());
    table_.Open(file->number(), generation, *end);
    return absl::OkStatus();
  }

  // Prepares a file for appending; returns where.
  static absl::StatusOr<uint64_t> Begin(ExtentFile& file, bool partial, uint64_t generation,
                                        uint64_t begin) {
    if (!partial) {
      RETURN_IF_ERROR(file.BeginGeneration(generation));
      return begin;
    }
    // Whole records that nobody references may follow the last one that somebody does. A place is
    // written once in a generation: go on after them.
    while (begin < file.size_bytes()) {
      ASSIGN_OR_RETURN(const std::optional<RecordHeader> record,
                       file.FindRecord(begin, generation));
      if (!record) break;
      begin += RecordBytes(record->location.length);
    }
    return begin;
  }

  absl::Status CreateExtent(Leaves leaves) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const FileHeader header{.extent = table_.next_number(),
                            .disk_id = options_.disk_id,
                            .size_bytes = options_.extent_bytes};
    mutex_.Unlock();
    absl::StatusOr<std::shared_ptr<ExtentFile>> file = Create(header, leaves);
    mutex_.Lock();
    RETURN_IF_ERROR(file.status());
    table_.Add(*std::move(file));
    return absl::OkStatus();
  }

  absl::StatusOr<std::shared_ptr<ExtentFile>> Create(const FileHeader& header, Leaves leaves) {
    ASSIGN_OR_RETURN(const uint64_t free_bytes, disk_.FreeBytes());
    const uint64_t kept =
        options_.reserve_bytes + static_cast<uint64_t>(leaves) * header.size_bytes;
    if (free_bytes < header.size_bytes + kept) {
      return absl::ResourceExhaustedError(
          "no space for another extent: " + std::to_string(free_bytes) + " bytes are free, " +
          std::to_string(kept) + " are kept");
    }
    return ExtentFile::Create(disk_, options_.dir, header);
  }

  void Complete(std::vector<Pending>& batch) {
    {
      absl::MutexLock lock(&mutex_);
      for (const Pending& pending : batch) queued_bytes_ -= pending.queued_bytes;
    }
    for (Pending& pending : batch) pending.done(pending.outcome);
  }

  void CancelQueue() {
    std::deque<Pending> queue;
    {
      absl::MutexLock lock(&mutex_);
      queue.swap(queue_);
    }
    for (Pending& pending : queue) pending.done(absl::CancelledError("the extents are closed"));
  }

  Disk& disk_;
  const ExtentOptions options_;
  SyncMeter syncs_;

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;  // the queue, stopping
  bool recovered_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  ExtentTable table_ ABSL_GUARDED_BY(mutex_);
  std::deque<Pending> queue_ ABSL_GUARDED_BY(mutex_);
  uint64_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // queued or being written

  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ExtentStore>> ExtentStore::Open(Disk& disk, ExtentOptions options) {
  if (options.extent_bytes % kDirectUnitBytes != 0 ||
      options.extent_bytes < kFirstRecordOffset + RecordBytes(options.max_chunk_bytes)) {
    return absl::InvalidArgumentError("extents of " + std::to_string(options.extent_bytes) +
                                      " bytes cannot hold a chunk of " +
                                      std::to_string(options.max_chunk_bytes));
  }
  RETURN_IF_ERROR(disk.CreateDir(options.dir));
  RETURN_IF_ERROR(disk.SyncDir(FolderOf(options.dir)));
  auto store = std::make_unique<ExtentStoreImpl>(disk, std::move(options));
  RETURN_IF_ERROR(store->OpenFiles());
  return store;
}

std::vector<uint32_t> EvacuationCandidates(const std::vector<ExtentInfo>& extents,
                                           double threshold) {
  std::vector<uint32_t> candidates;
  for (const ExtentInfo& info : extents) {
    if (!info.open && info.live_bytes > 0 && info.garbage_ratio() >= threshold) {
      candidates.push_back(info.extent);
    }
  }
  return candidates;
}

}  // namespace meridian::storage
