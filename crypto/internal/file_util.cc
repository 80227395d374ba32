#include "crypto/internal/file_util.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <random>

#include "absl/strings/str_cat.h"

namespace meridian::crypto {
namespace {

absl::Status Failed(const char* what, const std::string& path) {
  const int error = errno;
  const std::string message = std::string(what) + " " + path + ": " + std::strerror(error);
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::UnavailableError(message);
  }
}

// Closes on every way out.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  const int fd_;
};

bool WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// A name of nobody else's: two processes may be writing the same file.
std::string TemporaryName(const std::string& path) {
  std::random_device random;
  return absl::StrCat(path, ".", absl::Hex(random(), absl::kZeroPad8),
                      absl::Hex(random(), absl::kZeroPad8), ".tmp");
}

absl::Status WriteTemporary(const std::string& path, std::string_view bytes, bool secret) {
  const File file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, secret ? 0600 : 0644));
  if (!file.ok()) return Failed("cannot create", path);
  if (!WriteAll(file.fd(), bytes)) return Failed("cannot write", path);
  if (fsync(file.fd()) != 0) return Failed("cannot make durable", path);
  return absl::OkStatus();
}

absl::Status SyncFolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const File file(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.ok()) return Failed("cannot open", folder);
  if (fsync(file.fd()) != 0) return Failed("cannot make durable", folder);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t max_bytes) {
  const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.ok()) return Failed("cannot open", path);
  std::string bytes;
  char block[4096];
  while (true) {
    const ssize_t n = read(file.fd(), block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("cannot read", path);
    if (n == 0) return bytes;
    bytes.append(block, static_cast<size_t>(n));
    if (bytes.size() > max_bytes) return absl::InvalidArgumentError(path + " is too large");
  }
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view bytes,
                                 WriteFileOptions options) {
  const std::string temporary = TemporaryName(path);
  absl::Status status = WriteTemporary(temporary, bytes, options.secret);
  // link refuses a name that is taken; rename replaces it.
  if (status.ok() && (options.must_be_new ? link(temporary.c_str(), path.c_str())
                                          : rename(temporary.c_str(), path.c_str())) != 0) {
    status = Failed("cannot write", path);
  }
  if (options.must_be_new || !status.ok()) unlink(temporary.c_str());
  if (!status.ok()) return status;
  return SyncFolderOf(path);
}

absl::StatusOr<bool> IsReadableByOthers(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return Failed("cannot read", path);
  return (info.st_mode & (S_IRWXG | S_IRWXO)) != 0;
}

}  // namespace meridian::crypto
