#include "client/cli/target_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "base/status.h"
#include "client/cli/format.h"

namespace meridian::cli {
namespace {

absl::Status PathError(const std::string& what, const std::string& name, int error) {
  const std::string message = what + " " + Printable(name) + ": " + std::strerror(error);
  if (error == ENOENT) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM || error == EROFS) {
    return absl::PermissionDeniedError(message);
  }
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(message);
  return absl::UnknownError(message);
}

std::string TemporaryName() {
  std::string bytes(8, '\0');
  SystemRandom().Fill({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
  return ".meridian-" + absl::BytesToHexString(bytes) + ".part";
}

std::vector<std::string> Segments(const std::string& name) {
  std::vector<std::string> segments;
  size_t begin = 0;
  for (;;) {
    const size_t slash = name.find('/', begin);
    segments.push_back(name.substr(begin, slash - begin));
    if (slash == std::string::npos) return segments;
    begin = slash + 1;
  }
}

}  // namespace

OwnedFd::~OwnedFd() {
  if (fd_ >= 0) close(fd_);
}

OwnedFd& OwnedFd::operator=(OwnedFd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

absl::Status CheckRelativeName(std::string_view name) {
  const std::string whole(name);
  bool bad = whole.find('\0') != std::string::npos;
  for (const std::string& segment : Segments(whole)) {
    bad = bad || segment.empty() || segment == "." || segment == "..";
  }
  if (!bad) return absl::OkStatus();
  return absl::InvalidArgumentError("object \"" + Printable(name) +
                                    "\" cannot be a file of that name below a folder; get it by "
                                    "itself: meridian get CONTAINER/NAME FILE");
}

NewFile::~NewFile() {
  if (parent_ && !committed_) unlinkat(parent_->get(), temporary_.c_str(), 0);
}

absl::Status NewFile::Commit() {
  if (renameat(parent_->get(), temporary_.c_str(), parent_->get(), name_.c_str()) != 0) {
    return PathError("rename to", name_, errno);
  }
  committed_ = true;
  return absl::OkStatus();
}

absl::StatusOr<TargetFolder> TargetFolder::Open(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  OwnedFd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root.get() < 0) return PathError("open folder", path, errno);
  return TargetFolder(std::move(root));
}

absl::StatusOr<std::shared_ptr<OwnedFd>> TargetFolder::OpenParent(const std::string& name,
                                                                  bool make,
                                                                  std::string* leaf) const {
  RETURN_IF_ERROR(CheckRelativeName(name));
  std::vector<std::string> segments = Segments(name);
  *leaf = segments.back();
  segments.pop_back();
  std::shared_ptr<OwnedFd> folder = root_;
  for (const std::string& segment : segments) {
    if (make && mkdirat(folder->get(), segment.c_str(), 0777) != 0 && errno != EEXIST) {
      return PathError("make folder for", name, errno);
    }
    // One step at a time without following links: a link planted here cannot lead outside.
    const int next =
        openat(folder->get(), segment.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0 && (errno == ELOOP || errno == ENOTDIR)) {
      return absl::FailedPreconditionError(Printable(name) + ": \"" + Printable(segment) +
                                           "\" is a link or a file where a folder must be; move "
                                           "it away or choose another target");
    }
    if (next < 0) return PathError("open folder of", name, errno);
    folder = std::make_shared<OwnedFd>(next);
  }
  return folder;
}

absl::StatusOr<NewFile> TargetFolder::Create(const std::string& name) const {
  std::string leaf;
  ASSIGN_OR_RETURN(std::shared_ptr<OwnedFd> parent, OpenParent(name, /*make=*/true, &leaf));
  std::string temporary = TemporaryName();
  OwnedFd fd(openat(parent->get(), temporary.c_str(),
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (fd.get() < 0) return PathError("make file for", name, errno);
  return NewFile(std::move(parent), std::move(fd), std::move(temporary), std::move(leaf));
}

bool TargetFolder::HasIdentical(const std::string& name, uint64_t size_bytes,
                                uint32_t crc32c) const {
  std::string leaf;
  auto parent = OpenParent(name, /*make=*/false, &leaf);
  if (!parent.ok()) return false;
  const OwnedFd fd(
      openat((*parent)->get(), leaf.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info;
  if (fd.get() < 0 || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      static_cast<uint64_t>(info.st_size) != size_bytes) {
    return false;
  }
  auto checksum = ChecksumOfFile(fd.get());
  return checksum.ok() && *checksum == crc32c;
}

absl::StatusOr<uint32_t> ChecksumOfFile(int fd) {
  std::string buffer(256 << 10, '\0');
  uint32_t crc32c = 0;
  for (;;) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::UnknownError(std::string("read: ") + std::strerror(errno));
    if (count == 0) return crc32c;
    crc32c = Crc32c(std::string_view(buffer).substr(0, static_cast<size_t>(count)), crc32c);
  }
}

}  // namespace meridian::cli
