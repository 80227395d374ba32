#include "tests/fakes/fault_env.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "rocksdb/file_system.h"

namespace meridian::storage {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

IOStatus ToRocks(const absl::Status& status) {
  if (status.ok()) return IOStatus::OK();
  const std::string message(status.message());
  if (absl::IsNotFound(status)) return IOStatus::PathNotFound(message);
  if (absl::IsResourceExhausted(status)) return IOStatus::NoSpace(message);
  return IOStatus::IOError(message);
}

std::string DiskPath(std::string path) {
  while (path.starts_with('/')) path.erase(0, 1);
  while (path.ends_with('/')) path.pop_back();
  return path;
}

IOStatus ReadAt(const File& file, uint64_t offset, size_t n, Slice* result, char* scratch) {
  const absl::StatusOr<size_t> read = file.Read(offset, {scratch, n});
  if (!read.ok()) return ToRocks(read.status());
  *result = Slice(scratch, *read);
  return IOStatus::OK();
}

class SequentialFile final : public rocksdb::FSSequentialFile {
 public:
  explicit SequentialFile(std::unique_ptr<File> file) : file_(std::move(file)) {}

  IOStatus Read(size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) override {
    IOStatus status = ReadAt(*file_, position_, n, result, scratch);
    if (status.ok()) position_ += result->size();
    return status;
  }
  IOStatus Skip(uint64_t n) override {
    position_ += n;
    return IOStatus::OK();
  }

 private:
  const std::unique_ptr<File> file_;
  uint64_t position_ = 0;
};

class RandomAccessFile final : public rocksdb::FSRandomAccessFile {
 public:
  explicit RandomAccessFile(std::unique_ptr<File> file) : file_(std::move(file)) {}

  IOStatus Read(uint64_t offset, size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    return ReadAt(*file_, offset, n, result, scratch);
  }

 private:
  const std::unique_ptr<File> file_;
};

class WritableFile final : public rocksdb::FSWritableFile {
 public:
  explicit WritableFile(std::unique_ptr<File> file) : file_(std::move(file)) {}

  using FSWritableFile::Append;
  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    const absl::Status status = file_->Write(size_, {data.data(), data.size()});
    if (status.ok()) size_ += data.size();
    return ToRocks(status);
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return ToRocks(file_->Sync()); }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return size_; }

 private:
  const std::unique_ptr<File> file_;
  uint64_t size_ = 0;
};

class Directory final : public rocksdb::FSDirectory {
 public:
  Directory(Disk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return ToRocks(disk_.SyncDir(path_));
  }

 private:
  Disk& disk_;
  const std::string path_;
};

class Lock final : public rocksdb::FileLock {
 public:
  explicit Lock(std::unique_ptr<DiskLock> lock) : lock_(std::move(lock)) {}

 private:
  const std::unique_ptr<DiskLock> lock_;
};

class DiskFileSystem final : public rocksdb::FileSystem {
 public:
  explicit DiskFileSystem(Disk& disk) : disk_(disk) {}

  const char* Name() const override { return "meridian.DiskFileSystem"; }

  IOStatus NewSequentialFile(const std::string& name, const rocksdb::FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* result,
                             IODebugContext*) override {
    return OpenAs<SequentialFile>(name, {}, result);
  }
  IOStatus NewRandomAccessFile(const std::string& name, const rocksdb::FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                               IODebugContext*) override {
    return OpenAs<RandomAccessFile>(name, {}, result);
  }
  IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions&,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext*) override {
    const absl::Status removed = disk_.Remove(DiskPath(name));
    if (!removed.ok() && !absl::IsNotFound(removed)) return ToRocks(removed);
    return OpenAs<WritableFile>(name, {.create = true}, result);
  }
  IOStatus NewDirectory(const std::string& name, const IOOptions&,
                        std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext*) override {
    *result = std::make_unique<Directory>(disk_, DiskPath(name));
    return IOStatus::OK();
  }
  IOStatus FileExists(const std::string& name, const IOOptions&, IODebugContext*) override {
    if (disk_.List(DiskPath(name)).ok()) return IOStatus::OK();
    const absl::Status status = disk_.Open(DiskPath(name), {}).status();
    return absl::IsNotFound(status) ? IOStatus::NotFound(name) : ToRocks(status);
  }
  IOStatus GetChildren(const std::string& dir, const IOOptions&, std::vector<std::string>* result,
                       IODebugContext*) override {
    absl::StatusOr<std::vector<std::string>> names = disk_.List(DiskPath(dir));
    if (absl::IsNotFound(names.status())) return IOStatus::NotFound(dir);
    if (!names.ok()) return ToRocks(names.status());
    *result = *std::move(names);
    return IOStatus::OK();
  }
  IOStatus DeleteFile(const std::string& name, const IOOptions&, IODebugContext*) override {
    return ToRocks(disk_.Remove(DiskPath(name)));
  }
  IOStatus CreateDir(const std::string& name, const IOOptions&, IODebugContext*) override {
    return ToRocks(disk_.CreateDir(DiskPath(name)));
  }
  IOStatus CreateDirIfMissing(const std::string& name, const IOOptions&, IODebugContext*) override {
    return ToRocks(disk_.CreateDir(DiskPath(name)));
  }
  IOStatus DeleteDir(const std::string& name, const IOOptions&, IODebugContext*) override {
    return ToRocks(disk_.Remove(DiskPath(name)));
  }
  IOStatus GetFileSize(const std::string& name, const IOOptions&, uint64_t* size,
                       IODebugContext*) override {
    const auto file = disk_.Open(DiskPath(name), {});
    if (!file.ok()) return ToRocks(file.status());
    const absl::StatusOr<uint64_t> bytes = (*file)->Size();
    if (!bytes.ok()) return ToRocks(bytes.status());
    *size = *bytes;
    return IOStatus::OK();
  }
  IOStatus GetFileModificationTime(const std::string&, const IOOptions&, uint64_t* time,
                                   IODebugContext*) override {
    *time = 0;  // of use only to options that age files, which are off
    return IOStatus::OK();
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&,
                      IODebugContext*) override {
    return ToRocks(disk_.Rename(DiskPath(from), DiskPath(to)));
  }
  IOStatus LockFile(const std::string& name, const IOOptions&, rocksdb::FileLock** lock,
                    IODebugContext*) override {
    absl::StatusOr<std::unique_ptr<DiskLock>> held = disk_.Lock(DiskPath(name));
    if (!held.ok()) return ToRocks(held.status());
    *lock = new Lock(*std::move(held));
    return IOStatus::OK();
  }
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override {
    delete lock;
    return IOStatus::OK();
  }
  IOStatus GetTestDirectory(const IOOptions&, std::string* path, IODebugContext*) override {
    *path = "/test";
    return IOStatus::OK();
  }
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* absolute,
                           IODebugContext*) override {
    *absolute = "/" + DiskPath(path);
    return IOStatus::OK();
  }
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* is_dir,
                       IODebugContext*) override {
    *is_dir = disk_.List(DiskPath(path)).ok();
    return IOStatus::OK();
  }

 private:
  template <typename Wrapper, typename Result>
  IOStatus OpenAs(const std::string& name, const OpenOptions& options, Result* result) {
    absl::StatusOr<std::unique_ptr<File>> file = disk_.Open(DiskPath(name), options);
    if (!file.ok()) return ToRocks(file.status());
    *result = std::make_unique<Wrapper>(*std::move(file));
    return IOStatus::OK();
  }

  Disk& disk_;
};

}  // namespace

std::unique_ptr<rocksdb::Env> NewFaultEnv(Disk& disk) {
  return rocksdb::NewCompositeEnv(std::make_shared<DiskFileSystem>(disk));
}

}  // namespace meridian::storage
