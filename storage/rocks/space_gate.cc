#include "storage/rocks/space_gate.h"

#include <string>
#include <utility>

namespace meridian::storage {
namespace {

// Nothing tells that a file system has space again.
constexpr absl::Duration kLookAgain = absl::Milliseconds(50);

thread_local bool compacting = false;

class GatedFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  GatedFile(std::unique_ptr<rocksdb::FSWritableFile> file, rocksdb::FileSystem* fs,
            std::string name, std::shared_ptr<SpaceGate> gate)
      : FSWritableFileOwnerWrapper(std::move(file)),
        fs_(fs),
        name_(std::move(name)),
        gate_(std::move(gate)) {}

  // The space is taken first: what is appended is never appended in part. Where a file system takes
  // none beforehand, or not for good, the append itself may still fail, and cannot be repeated.
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* dbg) override {
    rocksdb::IOStatus taken = gate_->Await([&] {
      if (!MayTake(data.size(), options, dbg))
        return rocksdb::IOStatus::NoSpace("kept for flushes");
      return target()->Allocate(size_bytes_, data.size(), options, dbg);
    });
    if (taken.IsNoSpace()) return taken;
    rocksdb::IOStatus status = target()->Append(data, options, dbg);
    if (status.ok()) size_bytes_ += data.size();
    return status;
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo&,
                           rocksdb::IODebugContext* dbg) override {
    return Append(data, options, dbg);
  }
  // As much as a whole file beforehand may be all that there is.
  void PrepareWrite(size_t, size_t, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {}

 private:
  bool MayTake(uint64_t bytes, const rocksdb::IOOptions& options, rocksdb::IODebugContext* dbg) {
    uint64_t free_bytes = 0;
    // An environment that cannot tell is not one of a disk.
    return !SpaceGate::IsCompacting() ||
           !fs_->GetFreeSpace(name_, options, &free_bytes, dbg).ok() ||
           free_bytes >= bytes + gate_->floor_bytes();
  }

  rocksdb::FileSystem* const fs_;
  const std::string name_;
  const std::shared_ptr<SpaceGate> gate_;
  uint64_t size_bytes_ = 0;
};

class GatedFileSystem : public rocksdb::FileSystemWrapper {
 public:
  GatedFileSystem(std::shared_ptr<rocksdb::FileSystem> base, std::shared_ptr<SpaceGate> gate)
      : FileSystemWrapper(std::move(base)), gate_(std::move(gate)) {}
  const char* Name() const override { return "meridian.Gated"; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* dbg) override {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    rocksdb::IOStatus status =
        gate_->Await([&] { return target()->NewWritableFile(name, options, &file, dbg); });
    if (status.ok()) *result = std::make_unique<GatedFile>(std::move(file), target(), name, gate_);
    return status;
  }
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* dbg) override {
    return gate_->Await([&] { return target()->RenameFile(from, to, options, dbg); });
  }

 private:
  const std::shared_ptr<SpaceGate> gate_;
};

}  // namespace

void SpaceGate::Open() {
  absl::MutexLock lock(&mutex_);
  open_ = true;
}

void SpaceGate::Close() {
  absl::MutexLock lock(&mutex_);
  open_ = false;
  mutex_.Await(absl::Condition(
      +[](bool* calling) { return !*calling; }, &calling_no_space_));
}

bool SpaceGate::is_open() const {
  absl::MutexLock lock(&mutex_);
  return open_;
}

bool SpaceGate::waiting() const {
  absl::MutexLock lock(&mutex_);
  return flushes_waiting_ + compactions_waiting_ > 0;
}

bool SpaceGate::flush_waiting() const {
  absl::MutexLock lock(&mutex_);
  return flushes_waiting_ > 0;
}

bool SpaceGate::BeginToWait() {
  {
    absl::MutexLock lock(&mutex_);
    if (!open_) return false;
    ++(compacting ? compactions_waiting_ : flushes_waiting_);
  }
  if (!compacting && no_space_ != nullptr) CallNoSpace();
  return true;
}

void SpaceGate::CallNoSpace() {
  {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](bool* calling) { return !*calling; }, &calling_no_space_));
    if (!open_) return;
    calling_no_space_ = true;
  }
  no_space_();
  absl::MutexLock lock(&mutex_);
  calling_no_space_ = false;
}

void SpaceGate::EndWait() {
  absl::MutexLock lock(&mutex_);
  --(compacting ? compactions_waiting_ : flushes_waiting_);
}

void SpaceGate::SetCompacting(bool is) { compacting = is; }

bool SpaceGate::IsCompacting() { return compacting; }

rocksdb::IOStatus SpaceGate::Await(const std::function<rocksdb::IOStatus()>& attempt) {
  rocksdb::IOStatus status = attempt();
  if (!status.IsNoSpace() || !BeginToWait()) return status;
  const auto closed = [this] {
    mutex_.AssertReaderHeld();
    return !open_;
  };
  bool may_wait = true;
  while (may_wait) {
    status = attempt();
    if (!status.IsNoSpace()) break;
    absl::MutexLock lock(&mutex_);
    may_wait = !mutex_.AwaitWithTimeout(absl::Condition(&closed), kLookAgain);
  }
  EndWait();
  return status;
}

std::shared_ptr<rocksdb::FileSystem> NewGatedFileSystem(std::shared_ptr<rocksdb::FileSystem> base,
                                                        std::shared_ptr<SpaceGate> gate) {
  return std::make_shared<GatedFileSystem>(std::move(base), std::move(gate));
}

}  // namespace meridian::storage
