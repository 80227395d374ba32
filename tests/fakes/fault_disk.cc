#include "tests/fakes/fault_disk.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "storage/aligned_buffer.h"

namespace meridian::storage {
namespace {

constexpr size_t kSector = FaultDisk::kSectorBytes;

bool HasPrefix(const std::string& path, const std::string& prefix) {
  return path.compare(0, prefix.size(), prefix) == 0;
}

// A file's bytes, apart from its names.
struct Inode {
  bool is_folder = false;
  std::string cached;   // what readers see
  std::string durable;  // what a power cut leaves for sure
  std::set<uint64_t> dirty_sectors;

  void Resize(uint64_t size) { cached.resize(std::max<uint64_t>(size, cached.size())); }

  void Write(uint64_t offset, std::string_view bytes) {
    if (bytes.empty()) return;
    Resize(offset + bytes.size());
    std::memcpy(cached.data() + offset, bytes.data(), bytes.size());
    for (uint64_t s = offset / kSector; s <= (offset + bytes.size() - 1) / kSector; ++s) {
      dirty_sectors.insert(s);
    }
  }

  void MakeSectorDurable(uint64_t sector) {
    const uint64_t begin = sector * kSector;
    const uint64_t end = std::min<uint64_t>(begin + kSector, cached.size());
    if (durable.size() < end) durable.resize(end);
    std::memcpy(durable.data() + begin, cached.data() + begin, end - begin);
  }

  // `lose()` decides on each. Growth is kept up to some sector and no further, as file systems do
  // that write data before the size that covers it.
  template <typename Lose>
  void LoseDirtySectors(Lose lose) {
    const uint64_t old_size = durable.size();
    bool growth_ended = false;
    for (const uint64_t sector : dirty_sectors) {
      const bool grows = (sector + 1) * kSector > old_size;
      const bool lost = (grows && growth_ended) || lose();
      if (!lost) MakeSectorDurable(sector);
      growth_ended = growth_ended || (grows && lost);
    }
    if (cached.size() > durable.size() && !growth_ended && !lose()) durable.resize(cached.size());
    dirty_sectors.clear();
    cached = durable;
  }

  void MakeDurable() {
    if (durable.size() < cached.size()) durable.resize(cached.size());
    for (const uint64_t sector : dirty_sectors) MakeSectorDurable(sector);
    dirty_sectors.clear();
  }
};

using InodePtr = std::shared_ptr<Inode>;

// A change of names that the folder's sync has not made durable yet.
struct NameChange {
  enum class Kind { kLink, kRename, kRemove } kind;
  std::string name;
  std::string from;  // of kRename
  InodePtr inode;    // of kLink and kRename
};

void ApplyChange(const NameChange& change, std::map<std::string, InodePtr>& names) {
  if (change.kind == NameChange::Kind::kRename) names.erase(change.from);
  if (change.kind == NameChange::Kind::kRemove) {
    names.erase(change.name);
  } else {
    names[change.name] = change.inode;
  }
}

}  // namespace

// Guarded by one mutex; `boot` tells attached disks whether they are still connected.
class FaultDisk::State {
 public:
  explicit State(uint64_t seed) : random_(seed) {
    const InodePtr root = std::make_shared<Inode>();
    root->is_folder = true;
    names_[""] = durable_names_[""] = root;
  }

  mutable absl::Mutex mutex_;
  SeededRandom random_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, InodePtr> names_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, InodePtr> durable_names_ ABSL_GUARDED_BY(mutex_);
  std::vector<NameChange> pending_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> locks_ ABSL_GUARDED_BY(mutex_);
  uint64_t boot_ ABSL_GUARDED_BY(mutex_) = 1;
  bool power_off_ ABSL_GUARDED_BY(mutex_) = false;
  bool syncs_work_ ABSL_GUARDED_BY(mutex_) = true;
  uint64_t capacity_bytes_ ABSL_GUARDED_BY(mutex_) = uint64_t{1} << 40;
  uint64_t operations_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t cut_at_ ABSL_GUARDED_BY(mutex_) = 0;  // 0: never
  struct Once {
    Op op;
    std::string path_prefix;
  };
  std::vector<Once> fail_once_ ABSL_GUARDED_BY(mutex_);
  struct Broken {
    std::string path;
    uint64_t begin;
    uint64_t end;
  };
  std::optional<std::string> hold_reads_ ABSL_GUARDED_BY(mutex_);  // the paths' prefix
  size_t held_reads_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Broken> broken_ ABSL_GUARDED_BY(mutex_);
  struct Misdirect {
    std::string path_prefix;
    int64_t delta;
  };
  std::optional<Misdirect> misdirect_ ABSL_GUARDED_BY(mutex_);

  absl::Status CheckBoot(uint64_t boot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (boot == boot_ && !power_off_) return absl::OkStatus();
    return absl::UnavailableError("the disk is gone");
  }

  // Counts an operation that changes the disk. True: the power goes within it.
  bool CountOperation() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++operations_;
    if (operations_ != cut_at_) return false;
    power_off_ = true;
    return true;
  }

  // Waits while reads of the path are held.
  void PassGate(uint64_t boot, const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++held_reads_;
    auto open = [this, boot, &path]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !hold_reads_ || !HasPrefix(path, *hold_reads_) || !CheckBoot(boot).ok();
    };
    mutex_.Await(absl::Condition(&open));
    --held_reads_;
  }

  bool TakeFailure(Op op, const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (auto it = fail_once_.begin(); it != fail_once_.end(); ++it) {
      if (it->op != op || !HasPrefix(path, it->path_prefix)) continue;
      fail_once_.erase(it);
      return true;
    }
    return false;
  }

  uint64_t UsedBytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    uint64_t used = 0;
    for (const auto& [name, inode] : names_) used += inode->cached.size();
    return used;
  }

  InodePtr Find(const std::string& path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto it = names_.find(path);
    return it == names_.end() ? nullptr : it->second;
  }

  void Change(NameChange change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ApplyChange(change, names_);
    pending_.push_back(std::move(change));
  }

  void SyncNames(const std::string& dir) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<NameChange> rest;
    for (NameChange& change : pending_) {
      if (FolderOf(change.name) == dir) {
        ApplyChange(change, durable_names_);
      } else {
        rest.push_back(std::move(change));
      }
    }
    pending_ = std::move(rest);
  }

  // The machine's cache is lost, but for what the disk happened to have written already.
  void LoseCache() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    // 0: nothing of it stays; 8: all.
    const uint64_t luck = random_.Uniform(9);
    std::set<std::string> lost_names;
    for (const NameChange& change : pending_) {
      const bool depends = lost_names.count(change.name) + lost_names.count(change.from) > 0;
      if (!depends && random_.Uniform(8) < luck) {
        ApplyChange(change, durable_names_);
      } else {
        lost_names.insert(change.name);
        if (change.kind == NameChange::Kind::kRename) lost_names.insert(change.from);
      }
    }
    pending_.clear();
    // A file whose folder's name was lost is out of reach.
    for (auto it = durable_names_.begin(); it != durable_names_.end();) {
      const bool reachable = durable_names_.count(FolderOf(it->first)) > 0;
      it = reachable ? std::next(it) : durable_names_.erase(it);
    }
    std::set<Inode*> inodes;
    for (const auto& [name, inode] : durable_names_) inodes.insert(inode.get());
    // In the order of names, not of addresses: a seed must give the same disk each time.
    for (const auto& [name, inode] : durable_names_) {
      if (inodes.erase(inode.get()) == 0) continue;
      inode->LoseDirtySectors([this, luck] {
        mutex_.AssertHeld();
        return random_.Uniform(8) >= luck;
      });
    }
    names_ = durable_names_;
  }
};

namespace {

using Op = FaultDisk::Op;
using State = FaultDisk::State;

class FaultFile final : public File {
 public:
  FaultFile(std::shared_ptr<State> state, uint64_t boot, std::string path, InodePtr inode,
            OpenOptions options, DiskHealth& health)
      : state_(std::move(state)),
        boot_(boot),
        path_(std::move(path)),
        inode_(std::move(inode)),
        options_(options),
        health_(health) {}

  absl::StatusOr<size_t> Read(uint64_t offset, std::span<char> out) const override {
    absl::MutexLock lock(&state_->mutex_);
    state_->PassGate(boot_, path_);
    RETURN_IF_ERROR(state_->CheckBoot(boot_));
    if (state_->TakeFailure(Op::kRead, path_))
      return absl::UnavailableError("read " + path_ + ": EIO");
    for (const State::Broken& broken : state_->broken_) {
      if (broken.path == path_ && offset < broken.end && broken.begin < offset + out.size()) {
        return absl::UnavailableError("read " + path_ + ": EIO");
      }
    }
    const std::string& bytes = inode_->cached;
    if (offset >= bytes.size()) return 0;
    const size_t size = std::min<uint64_t>(out.size(), bytes.size() - offset);
    std::memcpy(out.data(), bytes.data() + offset, size);
    return size;
  }
  absl::StatusOr<size_t> ReadMedium(uint64_t offset, std::span<char> out) const override {
    return Read(offset, out);
  }

  absl::Status Write(uint64_t offset, std::string_view bytes) override {
    absl::MutexLock lock(&state_->mutex_);
    RETURN_IF_ERROR(Check());
    if (options_.direct && !Aligned(offset, bytes)) {
      return absl::InvalidArgumentError("unaligned direct write to " + path_);
    }
    const uint64_t growth =
        std::max<uint64_t>(offset + bytes.size(), inode_->cached.size()) - inode_->cached.size();
    if (growth > 0 && state_->UsedBytes() + growth > state_->capacity_bytes_) {
      return absl::ResourceExhaustedError("write " + path_ + ": no space");
    }
    if (state_->CountOperation()) {
      inode_->Write(offset, bytes);
      return state_->CheckBoot(boot_);
    }
    if (state_->TakeFailure(Op::kWrite, path_)) {
      inode_->Write(offset, bytes.substr(0, bytes.size() / 2));
      return health_.Fail(absl::UnavailableError("disk out of service: write " + path_ + ": EIO"));
    }
    if (state_->misdirect_ && HasPrefix(path_, state_->misdirect_->path_prefix)) {
      const int64_t delta = state_->misdirect_->delta;
      state_->misdirect_.reset();
      if (delta == 0) return absl::OkStatus();
      offset += delta;
    }
    inode_->Write(offset, bytes);
    if (options_.durable && state_->syncs_work_) inode_->MakeDurable();
    return absl::OkStatus();
  }

  absl::Status Preallocate(uint64_t size_bytes, bool fill) override {
    absl::MutexLock lock(&state_->mutex_);
    RETURN_IF_ERROR(Check());
    const uint64_t old_size = inode_->cached.size();
    if (old_size >= size_bytes) return absl::OkStatus();
    if (state_->UsedBytes() + (size_bytes - old_size) > state_->capacity_bytes_) {
      return absl::ResourceExhaustedError("reserve space for " + path_ + ": no space");
    }
    if (state_->CountOperation()) return state_->CheckBoot(boot_);
    if (state_->TakeFailure(Op::kPreallocate, path_)) {
      return health_.Fail(
          absl::UnavailableError("disk out of service: reserve space for " + path_ + ": EIO"));
    }
    inode_->Resize(size_bytes);
    if (fill) inode_->Write(old_size, std::string(size_bytes - old_size, '\0'));
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    absl::MutexLock lock(&state_->mutex_);
    RETURN_IF_ERROR(Check());
    if (state_->CountOperation()) return state_->CheckBoot(boot_);
    if (state_->TakeFailure(Op::kSync, path_)) {
      inode_->dirty_sectors.clear();
      return health_.Fail(absl::UnavailableError("disk out of service: sync " + path_ + ": EIO"));
    }
    if (state_->syncs_work_) inode_->MakeDurable();
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Size() const override {
    absl::MutexLock lock(&state_->mutex_);
    RETURN_IF_ERROR(state_->CheckBoot(boot_));
    return inode_->cached.size();
  }

 private:
  absl::Status Check() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex_) {
    RETURN_IF_ERROR(state_->CheckBoot(boot_));
    return health_.status();
  }

  static bool Aligned(uint64_t offset, std::string_view bytes) {
    const auto address = reinterpret_cast<uintptr_t>(bytes.data());
    return offset % kDirectUnitBytes == 0 && bytes.size() % kDirectUnitBytes == 0 &&
           address % kDirectUnitBytes == 0;
  }

  const std::shared_ptr<State> state_;
  const uint64_t boot_;
  const std::string path_;
  const InodePtr inode_;
  const OpenOptions options_;
  DiskHealth& health_;
};

class FaultLock final : public DiskLock {
 public:
  FaultLock(std::shared_ptr<State> state, uint64_t boot, std::string path)
      : state_(std::move(state)), boot_(boot), path_(std::move(path)) {}
  ~FaultLock() override {
    absl::MutexLock lock(&state_->mutex_);
    // A lock of an earlier boot went with its process.
    if (state_->boot_ == boot_) state_->locks_.erase(path_);
  }

 private:
  const std::shared_ptr<State> state_;
  const uint64_t boot_;
  const std::string path_;
};

class AttachedDisk final : public Disk {
 public:
  AttachedDisk(std::shared_ptr<State> state, uint64_t boot)
      : state_(std::move(state)), boot_(boot) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                             const OpenOptions& options) override {
    absl::MutexLock lock(&state_->mutex_);
    RETURN_IF_ERROR(state_->CheckBoot(boot_));
    InodePtr inode = state_->Find(path);
    if (inode != nullptr && inode->is_folder) {
      return absl::InvalidArgumentError(path + " is a folder");
    }
    if (inode == nullptr) {
      if (!options.create) return absl::NotFoundError("open " + path + ": no such file");
      RETURN_IF_ERROR(CheckChange(path));
      inode = std::make_shared<Inode>();
      state_->Change({NameChange::Kind::kLink, path, "", inode});
    }
    return std::make_unique<FaultFile>(state_, boot_, path, inode, options, health_);
  }

  absl::Status CreateDir(const std::string& path) override {
    absl::MutexLock lock(&state_->mutex_);
    RETURN_IF_ERROR(state_->CheckBoot(boot_));
    if (state_->Find(path) != nullptr) return absl::OkStatus();
    RETURN_IF_ERROR(CheckChange(path));
    auto inode = std::make_shared<Inode>();
    inode->is_folder = true;
    state_->Change({NameChange::Kind::kLink, path, "", std::move(inode)});
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& dir) const override {
    absl::MutexLock lock(&state_->mutex_);
    RETURN_IF_ERROR(state_->CheckBoot(boot_));
    const InodePtr folder = state_->Find(dir);
    if (folder == nullptr || !folder->is_folder) {
      return absl::NotFoundError("list " + dir + ": no such folder");
    }
    std::vector<std::string> names;
    for (const auto& [path, inode] : state_->names_) {
      if (path.empty() || FolderOf(path) != dir) continue;
      names.push_back(dir.empty() ? path : path.substr(dir.size() + 1));
    }
    return names;
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    absl::MutexLock lock(&state_->mutex_);
    const InodePtr inode = state_->Find(from);
    if (inode == nullptr) return absl::NotFoundError("rename " + from + ": no such file");
    RETURN_IF_ERROR(CheckChange(to));
    state_->Change({NameChange::Kind::kRename, to, from, inode});
    return absl::OkStatus();
  }

  absl::Status Remove(const std::string& path) override {
    absl::MutexLock lock(&state_->mutex_);
    if (state_->Find(path) == nullptr) {
      return absl::NotFoundError("remove " + path + ": no such file");
    }
    RETURN_IF_ERROR(CheckChange(path));
    state_->Change({NameChange::Kind::kRemove, path, "", nullptr});
    return absl::OkStatus();
  }

  absl::Status SyncDir(const std::string& dir) override {
    absl::MutexLock lock(&state_->mutex_);
    RETURN_IF_ERROR(CheckChange(dir + "/"));
    if (state_->TakeFailure(Op::kSync, dir + "/")) {
      return health_.Fail(absl::UnavailableError("disk out of service: sync folder " + dir));
    }
    if (state_->syncs_work_) state_->SyncNames(dir);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<DiskLock>> Lock(const std::string& path) override {
    absl::MutexLock lock(&state_->mutex_);
    RETURN_IF_ERROR(state_->CheckBoot(boot_));
    if (!state_->locks_.insert(path).second) {
      return absl::FailedPreconditionError("the folder is in use by another process");
    }
    return std::make_unique<FaultLock>(state_, boot_, path);
  }

  absl::StatusOr<uint64_t> FreeBytes() const override {
    absl::MutexLock lock(&state_->mutex_);
    RETURN_IF_ERROR(state_->CheckBoot(boot_));
    const uint64_t used = state_->UsedBytes();
    return used >= state_->capacity_bytes_ ? 0 : state_->capacity_bytes_ - used;
  }

 private:
  // Before a change of names in the folder of `path`; counts it.
  absl::Status CheckChange(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex_) {
    RETURN_IF_ERROR(state_->CheckBoot(boot_));
    RETURN_IF_ERROR(health_.status());
    if (state_->Find(FolderOf(path)) == nullptr) {
      return absl::NotFoundError(path + ": no such folder");
    }
    state_->CountOperation();
    return state_->CheckBoot(boot_);
  }

  const std::shared_ptr<State> state_;
  const uint64_t boot_;
};

}  // namespace

FaultDisk::FaultDisk(uint64_t seed) : state_(std::make_shared<State>(seed)) {}
FaultDisk::~FaultDisk() = default;

std::unique_ptr<Disk> FaultDisk::Attach() {
  absl::MutexLock lock(&state_->mutex_);
  if (state_->power_off_) {
    state_->LoseCache();
    state_->power_off_ = false;
    ++state_->boot_;
    state_->locks_.clear();
  }
  return std::make_unique<AttachedDisk>(state_, state_->boot_);
}

void FaultDisk::Kill() {
  absl::MutexLock lock(&state_->mutex_);
  ++state_->boot_;
  state_->locks_.clear();
}

void FaultDisk::CutPower() {
  absl::MutexLock lock(&state_->mutex_);
  state_->power_off_ = true;
}

void FaultDisk::CutPowerAfter(uint64_t operations) {
  absl::MutexLock lock(&state_->mutex_);
  state_->cut_at_ = state_->operations_ + operations;
}

bool FaultDisk::power_is_off() const {
  absl::MutexLock lock(&state_->mutex_);
  return state_->power_off_;
}

uint64_t FaultDisk::operations() const {
  absl::MutexLock lock(&state_->mutex_);
  return state_->operations_;
}

void FaultDisk::set_syncs_work(bool work) {
  absl::MutexLock lock(&state_->mutex_);
  state_->syncs_work_ = work;
}

void FaultDisk::set_capacity_bytes(uint64_t bytes) {
  absl::MutexLock lock(&state_->mutex_);
  state_->capacity_bytes_ = bytes;
}

void FaultDisk::FailOnce(Op op, const std::string& path_prefix) {
  absl::MutexLock lock(&state_->mutex_);
  state_->fail_once_.push_back({op, path_prefix});
}

void FaultDisk::HoldReads(const std::string& path_prefix) {
  absl::MutexLock lock(&state_->mutex_);
  state_->hold_reads_ = path_prefix;
}

void FaultDisk::ReleaseReads() {
  absl::MutexLock lock(&state_->mutex_);
  state_->hold_reads_.reset();
}

size_t FaultDisk::held_reads() const {
  absl::MutexLock lock(&state_->mutex_);
  return state_->held_reads_;
}

void FaultDisk::BreakSectors(const std::string& path, uint64_t offset, uint64_t size) {
  absl::MutexLock lock(&state_->mutex_);
  state_->broken_.push_back({path, offset, offset + size});
}

void FaultDisk::MisdirectNextWrite(const std::string& path_prefix, int64_t delta) {
  absl::MutexLock lock(&state_->mutex_);
  state_->misdirect_ = {path_prefix, delta};
}

std::string FaultDisk::Contents(const std::string& path) const {
  absl::MutexLock lock(&state_->mutex_);
  const InodePtr inode = state_->Find(path);
  return inode == nullptr ? "" : inode->cached;
}

void FaultDisk::Overwrite(const std::string& path, uint64_t offset, std::string_view bytes) {
  absl::MutexLock lock(&state_->mutex_);
  const InodePtr inode = state_->Find(path);
  CHECK_INVARIANT(inode != nullptr, "a test damages a file that is not there");
  inode->Write(offset, bytes);
  inode->MakeDurable();
}

void FaultDisk::FlipBit(const std::string& path, uint64_t offset, int bit) {
  const std::string bytes = Contents(path);
  CHECK_INVARIANT(offset < bytes.size(), "a test damages a byte that is not there");
  const char flipped = static_cast<char>(bytes[offset] ^ (1 << bit));
  Overwrite(path, offset, {&flipped, 1});
}

}  // namespace meridian::storage
