#include "storage/disk_store.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "storage/extents/extent_store.h"
#include "storage/journal/journal.h"
#include "storage/rocks/rocks_kv.h"
#include "storage/store/ballast.h"
#include "storage/store/checkpointer.h"
#include "storage/store/commit_pipeline.h"
#include "storage/store/data_reader.h"
#include "storage/store/disk_index.h"
#include "storage/store/disk_replica.h"
#include "storage/store/identity.h"
#include "storage/store/out_of_service.h"
#include "storage/store/read_pool.h"
#include "storage/store/rows.h"
#include "storage/store/scrubber.h"
#include "storage/store/space_guard.h"
#include "storage/store/told_needs.h"

namespace meridian::storage {
namespace {

constexpr char kLockFile[] = "lock";
constexpr char kJournalDir[] = "journal";
constexpr char kExtentsDir[] = "extents";
// Reads for peers: of chunks up to 1 MiB, of entries up to about as much.
constexpr size_t kReadThreads = 2;
constexpr size_t kMaxWaitingChunkReads = 64;
// A replica has a few at a time, so that all of a disk's find room.
constexpr size_t kMaxWaitingLogReads = 4096;

// Members are destroyed from the last to the first: whatever still runs finds what it uses.
class DiskStoreImpl final : public DiskStore {
 public:
  DiskStoreImpl(Disk& disk, DiskStoreOptions options)
      : disk_(disk),
        options_(std::move(options)),
        out_of_service_(disk, options_.on_out_of_service) {}
  ~DiskStoreImpl() override;

  absl::Status Open();

  DiskId disk_id() const override { return identity_.disk; }
  uint64_t incarnation() const override { return incarnation_; }
  absl::Status RecordOpening() override ABSL_LOCKS_EXCLUDED(recording_mutex_);
  absl::Status CreateReplica(const ReplicaOnDisk& replica, bool installing) override;
  absl::Status RemoveReplica(ReplicaId replica, const StateMachine& state_machine) override;
  std::vector<ReplicaOnDisk> ListReplicas() const override { return index_->Replicas(); }
  absl::StatusOr<Epoch> DurablePromise(ReplicaId replica) const override {
    return index_->FindPromise(replica);
  }
  absl::StatusOr<std::unique_ptr<ReplicaStorage>> OpenReplica(ReplicaId replica) override;
  absl::Status AdmitNewData() const override { return space_->Admit(); }
  absl::Status Checkpoint() override { return checkpointer_->Run(); }
  absl::StatusOr<DiskStats> Stats() const override;
  ScrubStatus scrub() const override {
    return scrubber_ == nullptr ? ScrubStatus() : scrubber_->status();
  }
  absl::Status health() const override { return disk_.health(); }
  void BeginStop() override;

 private:
  // The one that identity_ has.
  absl::Status RecordNextOpening();
  absl::Status OpenRows();
  // A flush of the rows begins to wait for space. On a thread of RocksDB's.
  void OnNoSpace();
  // A disk that was in use misses neither journal nor extents (P9): they would be made anew, empty.
  absl::Status CheckNothingIsMissing() const;
  absl::Status OpenJournal();
  absl::Status OpenExtents();
  void Start();
  absl::StatusOr<RecoveredReplica> Recover(ReplicaId replica);
  absl::Status ClaimRuns(ReplicaId replica, const StateMachine& state_machine);

  Disk& disk_;
  const DiskStoreOptions options_;
  OutOfService out_of_service_;
  std::unique_ptr<DiskLock> lock_;
  DiskIdentity identity_;  // its openings are written under recording_mutex_, the rest by Open
  absl::Mutex recording_mutex_;  // held while it waits for record_opening
  std::atomic<uint64_t> incarnation_{0};
  // The journal may call for a checkpoint before there is a checkpointer, or after it has gone.
  absl::Mutex checkpointer_mutex_;
  Checkpointer* to_kick_ ABSL_GUARDED_BY(checkpointer_mutex_) = nullptr;
  std::unique_ptr<RocksKv> kv_;
  std::unique_ptr<DiskIndex> index_;
  ToldNeeds told_needs_;  // of the strand
  std::unique_ptr<CommitPipeline> pipeline_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<ExtentStore> extents_;
  std::unique_ptr<DataReader> reader_;
  std::unique_ptr<SpaceGuard> space_;
  std::unique_ptr<Ballast> ballast_;
  std::unique_ptr<Checkpointer> checkpointer_;
  std::unique_ptr<ReadPool> read_pool_;
  std::unique_ptr<Scrubber> scrubber_;  // null: the options say so
};

DiskStoreImpl::~DiskStoreImpl() {
  {
    absl::MutexLock lock(&checkpointer_mutex_);
    to_kick_ = nullptr;
  }
  BeginStop();
}

void DiskStoreImpl::BeginStop() {
  // The checkpointer may be waiting for it, and it for space.
  if (pipeline_ != nullptr) pipeline_->Stop();
  if (kv_ != nullptr) kv_->StopWaiting();
  if (checkpointer_ != nullptr) checkpointer_->BeginStop();
}

void DiskStoreImpl::OnNoSpace() {
  if (const absl::Status released = ballast_->Release().status(); !released.ok()) {
    out_of_service_.Check();  // else the next checkpoint gives it back
  }
  absl::MutexLock lock(&checkpointer_mutex_);
  if (to_kick_ != nullptr) to_kick_->OnNoSpace();
}

absl::Status DiskStoreImpl::Open() {
  ASSIGN_OR_RETURN(lock_, disk_.Lock(kLockFile));
  ballast_ = std::make_unique<Ballast>(disk_, options_.ballast_bytes);
  if (const absl::Status taken = ballast_->Take(); !absl::IsResourceExhausted(taken)) {
    RETURN_IF_ERROR(taken);
  }
  // To open a disk takes space, too.
  const absl::StatusOr<uint64_t> free_bytes = disk_.FreeBytes();
  if (absl::IsNotFound(free_bytes.status())) return free_bytes.status();
  // What cannot be told now says nothing of the disk.
  if (free_bytes.ok() && *free_bytes < options_.ballast_bytes) {
    RETURN_IF_ERROR(ballast_->Release().status());
  }
  ASSIGN_OR_RETURN(identity_, ClaimDisk(disk_, options_.cluster, options_.node, *options_.random));
  RETURN_IF_ERROR(RecordNextOpening());
  RETURN_IF_ERROR(CheckNothingIsMissing());
  RETURN_IF_ERROR(OpenRows());
  pipeline_ = std::make_unique<CommitPipeline>(*index_, *options_.strand, out_of_service_,
                                               options_.max_queued_log_bytes);
  RETURN_IF_ERROR(OpenJournal());
  RETURN_IF_ERROR(OpenExtents());
  if (!identity_.initialised) {
    identity_.initialised = true;
    RETURN_IF_ERROR(WriteIdentity(disk_, identity_));
  }
  Start();
  return absl::OkStatus();
}

absl::Status DiskStoreImpl::RecordNextOpening() {
  if (options_.record_opening != nullptr) {
    RETURN_IF_ERROR(options_.record_opening(
        {identity_.disk, identity_.opening, identity_.incarnation, identity_.next_opening}));
  }
  RETURN_IF_ERROR(EndOpening(disk_, identity_));
  incarnation_ = identity_.incarnation;
  return absl::OkStatus();
}

absl::Status DiskStoreImpl::RecordOpening() {
  absl::MutexLock lock(&recording_mutex_);
  RETURN_IF_ERROR(health());
  RETURN_IF_ERROR(BeginOpening(disk_, identity_, *options_.random));
  const absl::Status recorded = RecordNextOpening();
  if (absl::IsFailedPrecondition(recorded) || absl::IsNotFound(recorded)) {
    disk_.Fail(recorded).IgnoreError();
  }
  out_of_service_.Check();
  return recorded;
}

absl::Status DiskStoreImpl::CheckNothingIsMissing() const {
  if (!identity_.initialised) return absl::OkStatus();
  for (const char* dir : {kJournalDir, kExtentsDir}) {
    const absl::StatusOr<std::vector<std::string>> names = disk_.List(dir);
    if (absl::IsNotFound(names.status())) {
      return absl::DataLossError(absl::StrCat("the disk's folder '", dir, "' is missing"));
    }
    RETURN_IF_ERROR(names.status());
  }
  return absl::OkStatus();
}

absl::Status DiskStoreImpl::OpenRows() {
  RocksOptions rocks;
  rocks.state_prefix_bytes = kStatePrefixBytes;
  rocks.folder = options_.rocks_folder;
  rocks.ciphers = options_.file_ciphers;
  rocks.base_env = options_.rocks_env;
  rocks.no_space = [this] { OnNoSpace(); };
  rocks.memory = options_.memory;
  rocks.memtable_bytes = options_.memtable_bytes;
  ASSIGN_OR_RETURN(kv_, RocksKv::Open(rocks));
  ASSIGN_OR_RETURN(const std::optional<std::string> format, kv_->Get(Family::kMeta, FormatKey()));
  if (format.has_value()) {
    ASSIGN_OR_RETURN(const DiskId disk, DecodeFormatRow(*format));
    if (disk != identity_.disk) {
      return absl::DataLossError("the rows in RocksDB are another disk's");
    }
  } else if (identity_.initialised) {
    return absl::DataLossError("the rows in RocksDB are gone");
  } else {
    RocksBatch batch;
    batch.Put(Family::kMeta, FormatKey(), EncodeFormatRow(identity_.disk));
    RETURN_IF_ERROR(kv_->Write(batch));
    RETURN_IF_ERROR(kv_->Flush());
  }
  index_ = std::make_unique<DiskIndex>(*kv_);
  return index_->Load();
}

absl::Status DiskStoreImpl::OpenJournal() {
  JournalOptions journal;
  journal.dir = kJournalDir;
  journal.disk_id = identity_.disk;
  journal.segment_bytes = options_.segment_bytes;
  journal.max_record_bytes = options_.max_record_bytes;
  journal.min_segments = options_.min_segments;
  journal.max_segments = options_.max_segments;
  journal.pressure_segments = options_.pressure_segments;
  // The pipeline holds writers back before the journal would refuse a record in their midst.
  journal.max_queued_bytes = 4 * options_.max_queued_log_bytes;
  const JournalPosition position = index_->position();
  journal.replay_from = std::max<GroupNumber>(position.group, 1);
  journal.on_pressure = [this] {
    absl::MutexLock lock(&checkpointer_mutex_);
    if (to_kick_ != nullptr) to_kick_->Kick();
  };
  ASSIGN_OR_RETURN(journal_, Journal::Open(disk_, *options_.record_sealers, *options_.random,
                                           journal, [this](const ReplayedRecord& record) {
                                             const DiskIndex::Record indexed = {
                                                 .type = static_cast<RecordType>(record.type),
                                                 .owner = record.owner,
                                                 .payload = record.payload,
                                                 .location = record.location,
                                                 .group = record.group};
                                             std::span<const DiskIndex::Record> one(&indexed, 1);
                                             return index_->Add(one);
                                           }));
  if (journal_->durable_group() + (position.records == 0 ? 1 : 0) < position.group) {
    return absl::DataLossError("the journal ends before what RocksDB has of it");
  }
  return absl::OkStatus();
}

absl::Status DiskStoreImpl::OpenExtents() {
  ExtentOptions extents;
  extents.dir = kExtentsDir;
  extents.disk_id = identity_.disk;
  extents.extent_bytes = options_.extent_bytes;
  extents.max_chunk_bytes = options_.max_chunk_bytes;
  extents.max_queued_bytes = options_.max_queued_chunk_bytes;
  extents.reserve_bytes = options_.reserve_bytes;
  ASSIGN_OR_RETURN(extents_, ExtentStore::Open(disk_, extents));
  reader_ = std::make_unique<DataReader>(*index_, *journal_, *extents_);
  std::vector<std::pair<ChunkKeyParts, ChunkRow>> lost;
  RETURN_IF_ERROR(index_->ScanChunks([&](const ChunkKeyParts& key, const ChunkRow& row) {
    if (row.place != ChunkPlace::kExtent) return absl::OkStatus();
    const absl::Status referenced = extents_->Reference(row.extent);
    if (!absl::IsDataLoss(referenced)) return referenced;
    lost.emplace_back(key, row);
    return absl::OkStatus();
  }));
  // Reads of these say DATA_LOSS, so that they are repaired from a peer.
  for (const auto& [key, row] : lost) {
    RETURN_IF_ERROR(index_->MarkLost(key.container, key.chunk, row).status());
    reader_->CountCorrupt();
  }
  // Their places are nobody's: there is nothing to free.
  index_->TakeFrees();
  return extents_->FinishRecovery();
}

void DiskStoreImpl::Start() {
  space_ = std::make_unique<SpaceGuard>(disk_, *journal_, *extents_, out_of_service_,
                                        SpaceGuard::Sizes{.reserve_bytes = options_.reserve_bytes,
                                                          .segment_bytes = options_.segment_bytes,
                                                          .extent_bytes = options_.extent_bytes});
  pipeline_->Start(*journal_);
  read_pool_ = std::make_unique<ReadPool>(kReadThreads, kMaxWaitingLogReads, kMaxWaitingChunkReads);
  checkpointer_ =
      std::make_unique<Checkpointer>(Checkpointer::Parts{.kv = *kv_,
                                                         .index = *index_,
                                                         .pipeline = *pipeline_,
                                                         .journal = *journal_,
                                                         .extents = *extents_,
                                                         .reader = *reader_,
                                                         .space = *space_,
                                                         .out_of_service = out_of_service_,
                                                         .ballast = *ballast_},
                                     options_.maintenance_interval);
  if (options_.scrub.bytes_per_second > 0) {
    scrubber_ = std::make_unique<Scrubber>(Scrubber::Parts{.disk = disk_,
                                                           .kv = *kv_,
                                                           .index = *index_,
                                                           .journal = *journal_,
                                                           .extents = *extents_,
                                                           .reader = *reader_,
                                                           .timers = *options_.strand,
                                                           .clock = *options_.clock,
                                                           .out_of_service = out_of_service_},
                                           options_.scrub);
  }
  absl::MutexLock lock(&checkpointer_mutex_);
  to_kick_ = checkpointer_.get();
  // Each opening begins a segment: repeated crashes must not use them up.
  if (journal_->SegmentsInUse().size() >= options_.pressure_segments) to_kick_->Kick();
}

absl::Status DiskStoreImpl::CreateReplica(const ReplicaOnDisk& replica, bool installing) {
  const auto owner = index_->FindOwner(replica.container, replica.partition);
  if (owner.has_value()) {
    return absl::AlreadyExistsError(absl::StrCat("partition ", replica.partition.ToHex(),
                                                 " has replica ", owner->replica.ToHex(),
                                                 " on this disk"));
  }
  RETURN_IF_ERROR(pipeline_->AppendAndWait(
      installing ? RecordType::kReplicaCreatedInstalling : RecordType::kReplicaCreated,
      replica.replica,
      Buffer::FromString(
          EncodeReplicaCreated({.partition = replica.partition, .container = replica.container}))));
  // Two at once: the first one in the journal has the partition.
  return index_->FindOwner(replica.container, replica.partition) == replica
             ? absl::OkStatus()
             : absl::AlreadyExistsError("another replica took the partition first");
}

absl::Status DiskStoreImpl::ClaimRuns(ReplicaId replica, const StateMachine& state_machine) {
  ASSIGN_OR_RETURN(const ReplicaOnDisk id, index_->FindReplica(replica));
  if (index_->SiblingsOf(id).empty()) return absl::OkStatus();
  const auto state = kv_->NewView(Family::kState, StatePrefix(id));
  return state_machine.VisitChunks(
      *state, [&](const ChunkRange& range) { return index_->ClaimRun(id, range.run); });
}

absl::Status DiskStoreImpl::RemoveReplica(ReplicaId replica, const StateMachine& state_machine) {
  const absl::Status opened = index_->OpenReplica(replica).status();
  if (absl::IsNotFound(opened)) return absl::OkStatus();
  RETURN_IF_ERROR(opened);
  // Whatever happens to it (a full disk, a damaged state, a crash): a run that stays marked as a
  // sibling's is an orphan of that one's partition, and goes by its log (P8).
  ClaimRuns(replica, state_machine).IgnoreError();
  const absl::Status removed = pipeline_->AppendAndWait(RecordType::kReplicaRemoved, replica,
                                                        Buffer::FromString(EncodeEmpty()));
  // Else it may be on its way out.
  const bool later = absl::IsResourceExhausted(removed) || absl::IsDeadlineExceeded(removed);
  if (!removed.ok() && !later) index_->CloseReplica(replica);
  return removed;
}

absl::StatusOr<RecoveredReplica> DiskStoreImpl::Recover(ReplicaId replica) {
  // The state has the effect of an entry that is applied: the log begins after those that are
  // unreadable, and a peer that lacks them gets a snapshot.
  ASSIGN_OR_RETURN(const LogIndex unreadable, index_->LastUnreadableApplied(replica));
  RETURN_IF_ERROR(index_->TrimTo(replica, unreadable));
  return index_->Recover(replica);
}

absl::StatusOr<std::unique_ptr<ReplicaStorage>> DiskStoreImpl::OpenReplica(ReplicaId replica) {
  ASSIGN_OR_RETURN(const ReplicaOnDisk id, index_->FindReplica(replica));
  ASSIGN_OR_RETURN(auto base, index_->OpenReplica(replica));
  absl::StatusOr<RecoveredReplica> recovered = Recover(replica);
  if (!recovered.ok()) {
    index_->CloseReplica(replica);
    return recovered.status();
  }
  return std::make_unique<DiskReplica>(
      DiskReplica::Parts{.strand = *options_.strand,
                         .clock = *options_.clock,
                         .kv = *kv_,
                         .index = *index_,
                         .pipeline = *pipeline_,
                         .extents = *extents_,
                         .reader = *reader_,
                         .read_pool = *read_pool_,
                         .space = *space_,
                         .checkpointer = *checkpointer_,
                         .out_of_service = out_of_service_,
                         .told_needs = told_needs_,
                         .log_cache_bytes = options_.log_cache_bytes},
      id, *std::move(recovered), std::move(base));
}

absl::StatusOr<DiskStats> DiskStoreImpl::Stats() const {
  DiskStats stats;
  ASSIGN_OR_RETURN(stats.free_bytes, disk_.FreeBytes());
  for (const ExtentInfo& extent : extents_->Extents()) {
    stats.chunk_live_bytes += extent.live_bytes;
    stats.chunk_space_bytes += extent.size_bytes;
    ++stats.extents;
  }
  stats.segments_in_use = static_cast<uint32_t>(journal_->SegmentsInUse().size());
  stats.checkpoints = checkpointer_->checkpoints();
  stats.corrupt_reads = reader_->corrupt();
  stats.lost_chunks = index_->CountLost();
  stats.journal_waiting_bytes = pipeline_->waiting_bytes();
  stats.journal_syncs = journal_->syncs();
  stats.extent_syncs = extents_->syncs();
  return stats;
}

}  // namespace

absl::Status DiskStore::CheckOwner(Disk& disk, ClusterId cluster, const NodeId& node) {
  return CheckDiskOwner(disk, cluster, node);
}

absl::StatusOr<std::unique_ptr<DiskStore>> DiskStore::Open(Disk& disk, DiskStoreOptions options) {
  CHECK_INVARIANT(options.strand != nullptr && options.clock != nullptr &&
                      options.random != nullptr && options.file_ciphers != nullptr &&
                      options.record_sealers != nullptr,
                  "a disk is opened without its surroundings");
  auto store = std::make_unique<DiskStoreImpl>(disk, std::move(options));
  RETURN_IF_ERROR(store->Open());
  return store;
}

}  // namespace meridian::storage
