#include "server/node_disks.h"

#include <filesystem>
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
  static absl::StatusOr<std::unique_ptr<OpenedDisk>> Open(const Options& options,
                                                          const DiskFolder& folder,
                                                          crypto::Kms& kms) {
    const std::filesystem::path parent = std::filesystem::path(folder.store).parent_path();
    if (std::error_code error; !std::filesystem::is_directory(parent, error)) {
      return absl::NotFoundError(
          absl::StrCat("folder ", parent.string(), " does not exist: is its disk mounted?"));
    }
    ASSIGN_OR_RETURN(const crypto::SecretKey key,
                     OpenNodeKeyFile(folder.key_file, folder.store, options.store.node, kms,
                                     *options.store.random));
    ASSIGN_OR_RETURN(std::unique_ptr<storage::Disk> disk, options.open_disk(folder.store));
    std::unique_ptr<OpenedDisk> opened(new OpenedDisk(key, *options.store.random, std::move(disk)));
    RETURN_IF_ERROR(opened->OpenStore(options, folder));
    return opened;
  }

  storage::DiskStore& store() const { return *store_; }

 private:
  OpenedDisk(const crypto::SecretKey& key, Random& random, std::unique_ptr<storage::Disk> disk)
      : key_(key), file_ciphers_(key_, random), record_sealers_(key_), disk_(std::move(disk)) {}

  absl::Status OpenStore(const Options& options, const DiskFolder& folder) {
    storage::DiskStoreOptions store = options.store;
    store.file_ciphers = &file_ciphers_;
    store.record_sealers = &record_sealers_;
    store.rocks_folder = folder.store + "/rocks";
    store.on_out_of_service = [node = options.store.node, path = folder.store,
                               tell = options.on_out_of_service](const absl::Status& status) {
      Log(absl::StrCat("node ", node, ": disk ", path, " is out of service: ", status.ToString()));
      if (tell) tell();
    };
    ASSIGN_OR_RETURN(store_, storage::DiskStore::Open(*disk_, std::move(store)));
    return absl::OkStatus();
  }

  const crypto::NodeKey key_;
  storage::NodeFileCiphers file_ciphers_;
  const storage::NodeRecordSealers record_sealers_;
  const std::unique_ptr<storage::Disk> disk_;
  std::unique_ptr<storage::DiskStore> store_;
};

absl::StatusOr<std::unique_ptr<NodeDisks>> NodeDisks::Open(Options options, crypto::Kms& kms) {
  std::unique_ptr<NodeDisks> disks(new NodeDisks(options.store.node));
  absl::Status first_problem;
  for (const DiskFolder& folder : options.folders) {
    auto opened = OpenedDisk::Open(options, folder, kms);
    Slot slot{folder, nullptr, Annotate(opened.status(), folder.store)};
    if (absl::IsFailedPrecondition(opened.status())) return slot.problem;
    if (opened.ok()) slot.disk = *std::move(opened);
    if (first_problem.ok()) first_problem = slot.problem;
    disks->slots_.push_back(std::move(slot));
  }
  if (disks->slots_.empty()) return absl::InvalidArgumentError("a node needs a disk");
  if (disks->stores().empty()) return first_problem;
  for (const Slot& slot : disks->slots_) {
    if (slot.problem.ok()) continue;
    Log(absl::StrCat("node ", disks->node_, ": goes on without a disk: ", slot.problem.ToString()));
  }
  return disks;
}

NodeDisks::NodeDisks(NodeId node) : node_(std::move(node)) {}

NodeDisks::~NodeDisks() { checkpointers_.clear(); }

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
        Log(absl::StrCat(
            "node ", node_, ": disk ", store->disk_id().ToHex(),
            " has no checkpoint; the next start replays its journal: ", status.ToString()));
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
    Log(absl::StrCat("node ", node_, ": ", wait->pending,
                     " disks have no checkpoint in time; the next start replays their journals"));
  }
}

}  // namespace meridian::server
