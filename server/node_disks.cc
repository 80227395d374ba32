#include "server/node_disks.h"

#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/executor.h"
#include "base/status.h"
#include "crypto/node_key.h"
#include "server/log.h"
#include "server/node_key_file.h"
#include "storage/node_record_sealers.h"
#include "storage/rocks/node_file_ciphers.h"

namespace meridian::server {

// A disk's key, what is made from it, and the store that uses it: in the order of dependence.
class NodeDisks::OpenedDisk {
 public:
  OpenedDisk(const crypto::SecretKey& key, Random& random, std::unique_ptr<storage::Disk> disk)
      : key_(key), file_ciphers_(key_, random), record_sealers_(key_), disk_(std::move(disk)) {}

  // Once, before store().
  absl::Status OpenStore(const Options& options, const DiskFolder& folder) {
    storage::DiskStoreOptions store = options.store;
    store.file_ciphers = &file_ciphers_;
    store.record_sealers = &record_sealers_;
    store.rocks_folder = folder.store + "/rocks";
    store.on_out_of_service = [node = options.store.node, path = folder.store,
                               tell = options.on_out_of_service](const absl::Status& status) {
      Log(LogLevel::kError, "disk", "out of service",
          {{"node", node}, {"folder", path}, {"error", status}});
      if (tell) tell();
    };
    if (options.store.record_opening != nullptr) {
      store.record_opening =
          [this, record = options.store.record_opening](const storage::DiskOpening& opening) {
            recorded_ = record(opening);
            return recorded_;
          };
    }
    ASSIGN_OR_RETURN(store_, storage::DiskStore::Open(*disk_, std::move(store)));
    return absl::OkStatus();
  }
  // What came of the last recording, while no other is under way.
  const absl::Status& recorded() const { return recorded_; }

  storage::DiskStore& store() const { return *store_; }
  void BeginStop() {
    if (store_ != nullptr) store_->BeginStop();
  }

 private:
  const crypto::NodeKey key_;
  storage::NodeFileCiphers file_ciphers_;
  const storage::NodeRecordSealers record_sealers_;
  const std::unique_ptr<storage::Disk> disk_;
  absl::Status recorded_;
  std::unique_ptr<storage::DiskStore> store_;
};

namespace {

absl::StatusOr<std::unique_ptr<storage::Disk>> OpenFolder(const NodeDisks::Options& options,
                                                          const DiskFolder& folder) {
  const std::filesystem::path parent = std::filesystem::path(folder.store).parent_path();
  if (std::error_code error; !std::filesystem::is_directory(parent, error)) {
    return absl::NotFoundError(
        absl::StrCat("folder ", parent.string(), " does not exist: is its disk mounted?"));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<storage::Disk> disk, options.open_disk(folder.store));
  // Before the key, which of another node's disk is no better than a damaged one.
  RETURN_IF_ERROR(storage::DiskStore::CheckOwner(*disk, options.store.cluster, options.store.node));
  return disk;
}

}  // namespace

absl::Status NodeDisks::OpenKeys(const Options& options, crypto::Kms& kms) {
  for (const DiskFolder& folder : options.folders) {
    Slot& slot = slots_.emplace_back(Slot{folder, nullptr, absl::OkStatus()});
    auto disk = OpenFolder(options, folder);
    slot.problem = Annotate(disk.status(), folder.store);
    if (absl::IsFailedPrecondition(slot.problem)) return slot.problem;
    if (!disk.ok()) continue;
    const auto key = OpenNodeKeyFile(folder.key_file, folder.store, options.store.node, kms,
                                     *options.store.random);
    slot.problem = Annotate(key.status(), folder.store);
    if (!key.ok() && !absl::IsDataLoss(slot.problem)) return slot.problem;
    if (!key.ok()) continue;
    slot.disk = std::make_unique<OpenedDisk>(*key, *options.store.random, *std::move(disk));
  }
  return absl::OkStatus();
}

absl::Status NodeDisks::OpenStores(const Options& options) {
  std::map<DiskId, std::string> folders;
  for (Slot& slot : slots_) {
    if (slot.disk == nullptr) continue;
    slot.problem = Annotate(slot.disk->OpenStore(options, slot.folder), slot.folder.store);
    if (absl::IsFailedPrecondition(slot.problem)) return slot.problem;
    if (!slot.problem.ok()) {
      // A disk that was taken out is left out; other trouble with the store is not the disk's.
      const absl::Status& recorded = slot.disk->recorded();
      if (!recorded.ok() && !absl::IsNotFound(recorded)) return slot.problem;
      slot.disk.reset();
      continue;
    }
    const auto [other, first] = folders.emplace(slot.disk->store().disk_id(), slot.folder.store);
    if (first) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        slot.folder.store, " and ", other->second, " hold the same disk: one is a copy of the ",
        "other, and a copy must never serve. Take the copy out of the configuration"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<NodeDisks>> NodeDisks::Open(Options options, crypto::Kms& kms) {
  if (options.folders.empty()) return absl::InvalidArgumentError("a node needs a disk");
  std::unique_ptr<NodeDisks> disks(new NodeDisks(options.store.node));
  // All keys first: the KMS fails before anything is opened, or not at all.
  RETURN_IF_ERROR(disks->OpenKeys(options, kms));
  RETURN_IF_ERROR(disks->OpenStores(options));
  if (disks->stores().empty()) return disks->slots_.front().problem;
  for (const Slot& slot : disks->slots_) {
    if (slot.problem.ok()) continue;
    Log(LogLevel::kError, "disk", "cannot be opened; the node goes on without it",
        {{"node", disks->node_}, {"folder", slot.folder.store}, {"error", slot.problem}});
  }
  return disks;
}

NodeDisks::NodeDisks(NodeId node) : node_(std::move(node)) {}

NodeDisks::~NodeDisks() {
  BeginStop();
  checkpointers_.clear();
}

void NodeDisks::BeginStop() {
  for (const Slot& slot : slots_) {
    if (slot.disk != nullptr) slot.disk->BeginStop();
  }
}

std::vector<storage::DiskStore*> NodeDisks::stores() const {
  std::vector<storage::DiskStore*> stores;
  for (const Slot& slot : slots_) {
    if (slot.disk != nullptr) stores.push_back(&slot.disk->store());
  }
  return stores;
}

std::vector<DiskId> NodeDisks::InService() const {
  std::vector<DiskId> disks;
  for (const storage::DiskStore* store : stores()) {
    if (store->health().ok()) disks.push_back(store->disk_id());
  }
  return disks;
}

std::vector<ServedDisk> NodeDisks::Describe() const {
  std::vector<ServedDisk> served;
  for (const Slot& slot : slots_) {
    served.push_back(
        {slot.disk == nullptr ? nullptr : &slot.disk->store(), slot.folder.store, slot.problem});
  }
  return served;
}

absl::Status NodeDisks::AdmitNewData(DiskId disk) const {
  for (const storage::DiskStore* store : stores()) {
    if (store->disk_id() == disk) return store->AdmitNewData();
  }
  return absl::NotFoundError("the node has no such disk");
}

absl::Status NodeDisks::RecordOpenings() {
  for (storage::DiskStore* store : stores()) {
    if (!store->health().ok()) continue;
    const absl::Status recorded = store->RecordOpening();
    if (absl::IsUnavailable(recorded) && store->health().ok()) return recorded;
    if (recorded.ok()) continue;
    // A disk that this ends tells so itself; a full one is tried again.
    Log(LogLevel::kWarning, "disk", "an opening was not recorded",
        {{"node", node_}, {"disk", store->disk_id().ToHex()}, {"error", recorded}});
  }
  return absl::OkStatus();
}

void NodeDisks::Checkpoint(absl::Time deadline) {
  const std::vector<storage::DiskStore*> stores = this->stores();
  // Outlives a wait that was given up.
  struct Wait {
    explicit Wait(size_t disks) : pending(disks) {}
    absl::Mutex mutex;
    size_t pending ABSL_GUARDED_BY(mutex);
  };
  const auto wait = std::make_shared<Wait>(stores.size());
  for (storage::DiskStore* store : stores) {
    checkpointers_.push_back(MakeThreadExecutor(node_ + "-checkpoint"));
    checkpointers_.back()->Post([this, store, wait] {
      const absl::Status status =
          store->health().ok() ? store->Checkpoint() : absl::OkStatus();  // nothing to be saved
      if (!status.ok()) {
        Log(LogLevel::kWarning, "disk", "no checkpoint; the next start replays its journal",
            {{"node", node_}, {"disk", store->disk_id().ToHex()}, {"error", status}});
      }
      absl::MutexLock lock(&wait->mutex);
      --wait->pending;
    });
  }
  absl::MutexLock lock(&wait->mutex);
  const auto done = [&wait] {
    wait->mutex.AssertReaderHeld();
    return wait->pending == 0;
  };
  if (!wait->mutex.AwaitWithDeadline(absl::Condition(&done), deadline)) {
    Log(LogLevel::kWarning, "disk",
        "no checkpoints in time; the next start replays these disks' journals",
        {{"node", node_}, {"disks", wait->pending}});
  }
}

}  // namespace meridian::server
