#include "storage/posix_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/status.h"
#include "storage/aligned_buffer.h"

namespace meridian::storage {
namespace {

// Of a look at the file system that was interrupted, or had no memory.
constexpr int kMaxStatAttempts = 10;

absl::Status ErrnoStatus(int error, const std::string& doing) {
  const std::string message = doing + ": " + std::generic_category().message(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
      return absl::ResourceExhaustedError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case EINVAL:
    case ENAMETOOLONG:
      return absl::InvalidArgumentError(message);
    default:
      return absl::UnavailableError(message);
  }
}

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    // Everything that matters was synced before: an error of close has nothing left to tell.
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Reads through a descriptor of its own, buffered; direct writes invalidate the page cache that it
// reads from.
class PosixFile final : public File {
 public:
  PosixFile(std::string path, Fd read_fd, Fd write_fd, DiskHealth& health)
      : path_(std::move(path)),
        read_fd_(std::move(read_fd)),
        write_fd_(std::move(write_fd)),
        health_(health) {}

  absl::StatusOr<size_t> Read(uint64_t offset, std::span<char> out) const override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = ::pread(read_fd_.get(), out.data() + done, out.size() - done,
                                static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        const int error = errno;
        return absl::UnavailableError("read " + path_ + ": " +
                                      std::generic_category().message(error));
      }
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  absl::StatusOr<size_t> ReadMedium(uint64_t offset, std::span<char> out) const override {
    DropCache(offset, out.size());
    const absl::StatusOr<size_t> read = Read(offset, out);
    DropCache(offset, out.size());
    return read;
  }

  absl::Status Write(uint64_t offset, std::string_view bytes) override {
    RETURN_IF_ERROR(health_.status());
    return WriteAll(offset, bytes);
  }

  absl::Status Preallocate(uint64_t size_bytes, bool fill) override {
    RETURN_IF_ERROR(health_.status());
    ASSIGN_OR_RETURN(const uint64_t old_size, Size());
    if (old_size >= size_bytes) return absl::OkStatus();
    if (::fallocate(write_fd_.get(), 0, 0, static_cast<off_t>(size_bytes)) != 0) {
      if (errno != EOPNOTSUPP) return Failed(errno, "reserve space for");
      fill = true;  // the only way left to have the space
    }
    return fill ? FillWithZeros(old_size, size_bytes) : absl::OkStatus();
  }

  absl::Status Sync() override {
    RETURN_IF_ERROR(health_.status());
    if (::fdatasync(write_fd_.get()) == 0) return absl::OkStatus();
    // Whatever the error, even no space: what was written is lost.
    return health_.Fail(absl::UnavailableError("disk out of service: sync " + path_ + ": " +
                                               std::generic_category().message(errno)));
  }

  absl::StatusOr<uint64_t> Size() const override {
    struct stat info;
    if (::fstat(read_fd_.get(), &info) != 0) return ErrnoStatus(errno, "stat " + path_);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  // Advice: a file system that does not take it serves reads from its cache.
  void DropCache(uint64_t offset, size_t size) const {
    const uint64_t begin = offset / kDirectUnitBytes * kDirectUnitBytes;
    const uint64_t end = RoundUpToDirectUnit(offset + size);
    ::posix_fadvise(read_fd_.get(), static_cast<off_t>(begin), static_cast<off_t>(end - begin),
                    POSIX_FADV_DONTNEED);
  }
  absl::Status Failed(int error, const std::string& doing) {
    absl::Status status = ErrnoStatus(error, doing + " " + path_);
    if (absl::IsResourceExhausted(status) || absl::IsInvalidArgument(status)) return status;
    return health_.Fail(
        absl::UnavailableError("disk out of service: " + std::string(FromAbsl(status.message()))));
  }

  absl::Status WriteAll(uint64_t offset, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n =
          ::pwrite(write_fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Failed(errno, "write");
      offset += static_cast<uint64_t>(n);
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return absl::OkStatus();
  }

  absl::Status FillWithZeros(uint64_t from, uint64_t to) {
    const AlignedBuffer zeros(1 << 20);
    for (uint64_t at = from; at < to;) {
      const size_t step = std::min<uint64_t>(zeros.size(), to - at);
      RETURN_IF_ERROR(WriteAll(at, zeros.view(0, step)));
      at += step;
    }
    return absl::OkStatus();
  }

  const std::string path_;
  const Fd read_fd_;
  const Fd write_fd_;
  DiskHealth& health_;
};

class PosixLock final : public DiskLock {
 public:
  explicit PosixLock(Fd fd) : fd_(std::move(fd)) {}

 private:
  const Fd fd_;  // closing it gives the lock up
};

class PosixDisk final : public Disk {
 public:
  explicit PosixDisk(std::string root) : root_(std::move(root)) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                             const OpenOptions& options) override {
    if (options.create) RETURN_IF_ERROR(health());
    const std::string full = Full(path);
    int flags = O_RDWR | O_CLOEXEC;
    if (options.create) flags |= O_CREAT;
    if (options.durable) flags |= O_DSYNC;
    Fd write_fd(::open(full.c_str(), flags | (options.direct ? O_DIRECT : 0), 0600));
    if (!write_fd.valid() && options.direct && errno == EINVAL) {
      write_fd = Fd(::open(full.c_str(), flags, 0600));
    }
    if (!write_fd.valid()) return ErrnoStatus(errno, "open " + full);
    Fd read_fd(::open(full.c_str(), O_RDONLY | O_CLOEXEC));
    if (!read_fd.valid()) return ErrnoStatus(errno, "open " + full);
    // Read-ahead would read around records that are being written. It is advice: its failure is
    // none.
    if (options.direct) ::posix_fadvise(read_fd.get(), 0, 0, POSIX_FADV_RANDOM);
    return std::make_unique<PosixFile>(full, std::move(read_fd), std::move(write_fd), health_);
  }

  absl::Status CreateDir(const std::string& path) override {
    RETURN_IF_ERROR(health());
    if (::mkdir(Full(path).c_str(), 0700) == 0 || errno == EEXIST) return absl::OkStatus();
    return Failed(errno, "make the folder " + Full(path));
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& dir) const override {
    const std::unique_ptr<DIR, int (*)(DIR*)> handle(::opendir(Full(dir).c_str()), &::closedir);
    if (handle == nullptr) return ErrnoStatus(errno, "list " + Full(dir));
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(handle.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
      errno = 0;
    }
    if (errno != 0) return ErrnoStatus(errno, "list " + Full(dir));
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    RETURN_IF_ERROR(health());
    if (::rename(Full(from).c_str(), Full(to).c_str()) == 0) return absl::OkStatus();
    return Failed(errno, "rename " + Full(from) + " to " + Full(to));
  }

  absl::Status Remove(const std::string& path) override {
    RETURN_IF_ERROR(health());
    if (::unlink(Full(path).c_str()) == 0) return absl::OkStatus();
    return Failed(errno, "remove " + Full(path));
  }

  absl::Status SyncDir(const std::string& dir) override {
    RETURN_IF_ERROR(health());
    const Fd fd(::open(Full(dir).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return ErrnoStatus(errno, "open the folder " + Full(dir));
    if (::fsync(fd.get()) == 0) return absl::OkStatus();
    return health_.Fail(absl::UnavailableError("disk out of service: sync the folder " + Full(dir) +
                                               ": " + std::generic_category().message(errno)));
  }

  absl::StatusOr<std::unique_ptr<DiskLock>> Lock(const std::string& path) override {
    const std::string full = Full(path);
    Fd fd(::open(full.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd.valid()) return ErrnoStatus(errno, "open " + full);
    // Bound to this open file, not to the process: a second owner in this process is refused too.
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "lock " + full);
      return absl::FailedPreconditionError("the folder " + root_ +
                                           " is in use by another process (it holds " + full +
                                           "): stop that process, or use another folder");
    }
    return std::make_unique<PosixLock>(std::move(fd));
  }

  absl::StatusOr<uint64_t> FreeBytes() const override {
    struct statvfs info;
    for (int attempt = 1; ::statvfs(root_.c_str(), &info) != 0; ++attempt) {
      const int error = errno;
      if ((error == EINTR || error == ENOMEM) && attempt < kMaxStatAttempts) continue;
      const std::string message =
          "free space of " + root_ + ": " + std::generic_category().message(error);
      const bool failed = error == ENOENT || error == ENOTDIR || error == EIO || error == ESTALE;
      return failed ? absl::NotFoundError(message) : absl::UnavailableError(message);
    }
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }

 private:
  std::string Full(const std::string& path) const {
    return path.empty() ? root_ : root_ + "/" + path;
  }

  // Of a change of names: an I/O error leaves them in doubt, the rest is a plain refusal.
  absl::Status Failed(int error, const std::string& doing) {
    absl::Status status = ErrnoStatus(error, doing);
    if (error != EIO) return status;
    return health_.Fail(
        absl::UnavailableError("disk out of service: " + std::string(FromAbsl(status.message()))));
  }

  const std::string root_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Disk>> OpenPosixDisk(std::string root) {
  auto disk = std::make_unique<PosixDisk>(std::move(root));
  RETURN_IF_ERROR(disk->CreateDir(""));
  // Also tells a file of that name from a folder.
  RETURN_IF_ERROR(disk->List("").status());
  return disk;
}

}  // namespace meridian::storage
