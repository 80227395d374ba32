// Between the journal and its users: durable records become rows, in the journal's order, on one
// thread, and only then are their writers told.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/buffer.h"
#include "base/executor.h"
#include "storage/disk.h"
#include "storage/journal/journal.h"
#include "storage/store/disk_index.h"
#include "storage/store/out_of_service.h"

namespace meridian::storage {

// Thread-safe.
class CommitPipeline {
 public:
  using Done = std::function<void(absl::Status)>;

  // All outlive the pipeline.
  CommitPipeline(DiskIndex& index, Executor& strand, OutOfService& out_of_service,
                 uint64_t max_queued_bytes);
  // The journal has been destroyed before.
  ~CommitPipeline();
  // Nothing is indexed after: whoever waits is told CANCELLED. By one thread at a time.
  void Stop();

  // Before any Append; the journal may complete from then on.
  void Start(Journal& journal);

  // RESOURCE_EXHAUSTED if so many more bytes should not be appended now. OK once it is stopped.
  absl::Status Reserve(uint64_t bytes) const;
  // `done`, which may be null, runs on the strand, once the record is durable and in the rows.
  // After a record of a replica was refused, all its later ones are, so that its log has no gap.
  void Append(RecordType type, ReplicaId owner, std::vector<Buffer> payload, Done done);
  // Blocks until it is durable and in the rows, but not for space, nor longer than kMaxWait:
  // RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED, and it may come to pass later.
  static constexpr absl::Duration kMaxWait = absl::Seconds(30);
  absl::Status AppendAndWait(RecordType type, ReplicaId owner, Buffer payload);

  // Blocks until all that was durable before this call is in the rows. CANCELLED: it stops first.
  // RESOURCE_EXHAUSTED: the rows wait for space, and for a flush that finds it.
  absl::Status WaitUntilIndexed();

  // Appended and not answered yet.
  uint64_t waiting_bytes() const;

 private:
  struct Completion {
    RecordType type;
    ReplicaId owner;
    Buffer head;
    Done done;
    bool on_strand = true;  // else any thread
    uint64_t bytes = 0;
    absl::StatusOr<Journal::Appended> result = absl::UnknownError("not written");
  };

  void AppendRecord(JournalRecord record, Completion completion);
  void Run();
  void Process(std::vector<Completion>& batch);
  // Waits for space as long as there is none.
  absl::Status Index(std::span<const DiskIndex::Record> records);
  void Cancel(std::vector<Completion>& batch);
  void Answer(std::vector<Completion>& batch, const absl::Status& indexed);
  // `told` of each, or its own error.
  void Tell(std::vector<Completion>& batch, const absl::Status& told);

  DiskIndex& index_;
  Executor& strand_;
  OutOfService& out_of_service_;
  const uint64_t max_queued_bytes_;
  Journal* journal_ = nullptr;

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool waits_for_space_ ABSL_GUARDED_BY(mutex_) = false;
  // Bounded by max_queued_bytes_ and what Append takes beyond it.
  std::vector<Completion> queue_ ABSL_GUARDED_BY(mutex_);
  uint64_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // appended and not answered
  uint64_t completed_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t processed_ ABSL_GUARDED_BY(mutex_) = 0;

  // Of thread_ only.
  std::set<ReplicaId> refused_;
  absl::Status failure_;  // the rows could not be written: nothing is acknowledged any more
  std::thread thread_;
};

}  // namespace meridian::storage
