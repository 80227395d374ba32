#include "tests/fakes/space_quota.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/status.h"
#include "rocksdb/file_system.h"
#include "storage/posix_disk.h"

namespace meridian::storage {
namespace {

class QuotaFile final : public File {
 public:
  QuotaFile(std::unique_ptr<File> file, std::shared_ptr<SpaceQuota::Entry> entry, SpaceQuota& quota)
      : file_(std::move(file)), entry_(std::move(entry)), quota_(quota) {}

  absl::StatusOr<size_t> Read(uint64_t offset, std::span<char> out) const override {
    return file_->Read(offset, out);
  }
  absl::StatusOr<size_t> ReadMedium(uint64_t offset, std::span<char> out) const override {
    return file_->ReadMedium(offset, out);
  }
  absl::Status Write(uint64_t offset, std::string_view bytes) override {
    if (!quota_.Grow(*entry_, offset + bytes.size())) return Full();
    return file_->Write(offset, bytes);
  }
  absl::Status Preallocate(uint64_t size_bytes, bool fill) override {
    if (!quota_.Grow(*entry_, size_bytes)) return Full();
    return file_->Preallocate(size_bytes, fill);
  }
  absl::Status Sync() override { return file_->Sync(); }
  absl::StatusOr<uint64_t> Size() const override { return file_->Size(); }

 private:
  static absl::Status Full() { return absl::ResourceExhaustedError("the quota is used up"); }

  const std::unique_ptr<File> file_;
  const std::shared_ptr<SpaceQuota::Entry> entry_;
  SpaceQuota& quota_;
};

// Its health is that of the disk below, but for failures that its user reports.
class QuotaDisk final : public Disk {
 public:
  QuotaDisk(std::unique_ptr<Disk> disk, std::string root, SpaceQuota& quota)
      : disk_(std::move(disk)), root_(std::move(root)), quota_(quota) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                             const OpenOptions& options) override {
    ASSIGN_OR_RETURN(std::unique_ptr<File> file, disk_->Open(path, options));
    ASSIGN_OR_RETURN(const uint64_t size, file->Size());
    return std::make_unique<QuotaFile>(std::move(file), quota_.Find(Full(path), size), quota_);
  }
  absl::Status CreateDir(const std::string& path) override { return disk_->CreateDir(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& dir) const override {
    return disk_->List(dir);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    RETURN_IF_ERROR(disk_->Rename(from, to));
    quota_.Rename(Full(from), Full(to));
    return absl::OkStatus();
  }
  absl::Status Remove(const std::string& path) override {
    RETURN_IF_ERROR(disk_->Remove(path));
    quota_.Remove(Full(path));
    return absl::OkStatus();
  }
  absl::Status SyncDir(const std::string& dir) override { return disk_->SyncDir(dir); }
  absl::StatusOr<std::unique_ptr<DiskLock>> Lock(const std::string& path) override {
    return disk_->Lock(path);
  }
  absl::StatusOr<uint64_t> FreeBytes() const override { return quota_.free_bytes(); }

 private:
  std::string Full(const std::string& path) const { return root_ + "/" + path; }

  const std::unique_ptr<Disk> disk_;
  const std::string root_;
  SpaceQuota& quota_;
};

class QuotaWritableFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  QuotaWritableFile(std::unique_ptr<rocksdb::FSWritableFile> file,
                    std::shared_ptr<SpaceQuota::Entry> entry, SpaceQuota& quota)
      : FSWritableFileOwnerWrapper(std::move(file)), entry_(std::move(entry)), quota_(quota) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* dbg) override {
    rocksdb::IOStatus taken = Take(size_bytes_ + data.size());
    if (!taken.ok()) return taken;
    size_bytes_ += data.size();
    return target()->Append(data, options, dbg);
  }
  rocksdb::IOStatus Allocate(uint64_t offset, uint64_t size, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* dbg) override {
    rocksdb::IOStatus taken = Take(offset + size);
    return taken.ok() ? target()->Allocate(offset, size, options, dbg) : taken;
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo&,
                           rocksdb::IODebugContext* dbg) override {
    return Append(data, options, dbg);
  }

 private:
  rocksdb::IOStatus Take(uint64_t to_bytes) {
    if (quota_.Grow(*entry_, to_bytes)) return rocksdb::IOStatus::OK();
    // As RocksDB's own files report ENOSPC.
    rocksdb::IOStatus full = rocksdb::IOStatus::NoSpace("the quota is used up");
    full.SetRetryable(true);
    return full;
  }

  const std::shared_ptr<SpaceQuota::Entry> entry_;
  SpaceQuota& quota_;
  uint64_t size_bytes_ = 0;
};

class QuotaFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  QuotaFileSystem(const std::shared_ptr<rocksdb::FileSystem>& base, SpaceQuota& quota)
      : FileSystemWrapper(base), quota_(quota) {}
  const char* Name() const override { return "meridian.Quota"; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* dbg) override {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    rocksdb::IOStatus status = target()->NewWritableFile(name, options, &file, dbg);
    if (!status.ok()) return status;
    quota_.Remove(name);
    *result = std::make_unique<QuotaWritableFile>(std::move(file), quota_.Find(name, 0), quota_);
    return status;
  }
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* dbg) override {
    rocksdb::IOStatus status = target()->DeleteFile(name, options, dbg);
    if (status.ok()) quota_.Remove(name);
    return status;
  }
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* dbg) override {
    rocksdb::IOStatus status = target()->RenameFile(from, to, options, dbg);
    if (status.ok()) quota_.Rename(from, to);
    return status;
  }
  rocksdb::IOStatus GetFreeSpace(const std::string&, const rocksdb::IOOptions&, uint64_t* bytes,
                                 rocksdb::IODebugContext*) override {
    *bytes = quota_.reported_free_bytes();
    return rocksdb::IOStatus::OK();
  }

 private:
  SpaceQuota& quota_;
};

}  // namespace

void SpaceQuota::TakeRest() {
  absl::MutexLock lock(&mutex_);
  capacity_bytes_ = std::min(capacity_bytes_, used_bytes_);
}

void SpaceQuota::set_capacity_bytes(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  capacity_bytes_ = bytes;
}

uint64_t SpaceQuota::free_bytes() const {
  absl::MutexLock lock(&mutex_);
  return capacity_bytes_ - std::min(capacity_bytes_, used_bytes_);
}

void SpaceQuota::set_reported_free_bytes(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  reported_free_bytes_ = bytes;
}

uint64_t SpaceQuota::reported_free_bytes() const {
  {
    absl::MutexLock lock(&mutex_);
    if (reported_free_bytes_) return *reported_free_bytes_;
  }
  return free_bytes();
}

std::shared_ptr<SpaceQuota::Entry> SpaceQuota::Find(const std::string& path, uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<Entry>& entry = files_[path];
  if (entry == nullptr) {
    entry = std::make_shared<Entry>(Entry{.bytes = bytes});
    used_bytes_ += bytes;
  }
  return entry;
}

bool SpaceQuota::Grow(Entry& entry, uint64_t to_bytes) {
  absl::MutexLock lock(&mutex_);
  if (entry.removed || to_bytes <= entry.bytes) return true;
  const uint64_t more = to_bytes - entry.bytes;
  if (used_bytes_ + more > capacity_bytes_) return false;
  used_bytes_ += more;
  entry.bytes = to_bytes;
  return true;
}

void SpaceQuota::Remove(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  Forget(path);
}

void SpaceQuota::Rename(const std::string& from, const std::string& to) {
  absl::MutexLock lock(&mutex_);
  const auto file = files_.find(from);
  if (file == files_.end()) return;
  std::shared_ptr<Entry> entry = std::move(file->second);
  files_.erase(file);
  Forget(to);
  files_[to] = std::move(entry);
}

void SpaceQuota::Forget(const std::string& path) {
  const auto file = files_.find(path);
  if (file == files_.end()) return;
  used_bytes_ -= file->second->bytes;
  file->second->bytes = 0;
  file->second->removed = true;
  files_.erase(file);
}

absl::StatusOr<std::unique_ptr<Disk>> OpenQuotaDisk(std::string root, SpaceQuota& quota) {
  ASSIGN_OR_RETURN(std::unique_ptr<Disk> disk, OpenPosixDisk(root));
  return std::make_unique<QuotaDisk>(std::move(disk), std::move(root), quota);
}

std::unique_ptr<rocksdb::Env> NewQuotaEnv(SpaceQuota& quota) {
  return rocksdb::NewCompositeEnv(
      std::make_shared<QuotaFileSystem>(rocksdb::Env::Default()->GetFileSystem(), quota));
}

}  // namespace meridian::storage
