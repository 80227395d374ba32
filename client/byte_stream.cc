#include "client/byte_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/status.h"

namespace meridian {
namespace {

absl::Status ErrnoError(const std::string& what) {
  const int error = errno;
  const std::string message = what + ": " + std::strerror(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::UnknownError(message);
  }
}

class StringSource : public ByteSource {
 public:
  explicit StringSource(std::string_view bytes) : bytes_(bytes) {}
  absl::StatusOr<size_t> Read(std::span<char> out) override {
    const size_t count = std::min(out.size(), bytes_.size() - position_);
    std::copy_n(bytes_.data() + position_, count, out.data());
    position_ += count;
    return count;
  }
  std::optional<uint64_t> size() const override { return bytes_.size(); }
  bool seekable() const override { return true; }
  absl::Status Seek(uint64_t offset) override {
    if (offset > bytes_.size()) return absl::OutOfRangeError("seek beyond the end");
    position_ = offset;
    return absl::OkStatus();
  }

 private:
  const std::string_view bytes_;
  size_t position_ = 0;
};

class StringSink : public ByteSink {
 public:
  explicit StringSink(std::string* out) : out_(out), start_(out->size()) {}
  absl::Status Write(std::string_view bytes) override {
    out_->append(bytes);
    return absl::OkStatus();
  }
  absl::Status Restart() override {
    out_->resize(start_);
    return absl::OkStatus();
  }

 private:
  std::string* const out_;
  const size_t start_;
};

class DescriptorSource : public ByteSource {
 public:
  DescriptorSource(int fd, bool owned) : fd_(fd), owned_(owned) {
    struct stat info;
    const bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    start_ = regular ? lseek(fd, 0, SEEK_CUR) : -1;
    if (start_ >= 0 && info.st_size >= start_) {
      size_ = static_cast<uint64_t>(info.st_size - start_);
    }
  }
  ~DescriptorSource() override {
    if (owned_) close(fd_);
  }
  absl::StatusOr<size_t> Read(std::span<char> out) override {
    for (;;) {
      const ssize_t count = read(fd_, out.data(), out.size());
      if (count >= 0) return static_cast<size_t>(count);
      if (errno != EINTR) return ErrnoError("read");
    }
  }
  std::optional<uint64_t> size() const override { return size_; }
  bool seekable() const override { return start_ >= 0; }
  absl::Status Seek(uint64_t offset) override {
    if (!seekable()) return absl::UnimplementedError("a pipe cannot be read twice");
    if (lseek(fd_, start_ + static_cast<off_t>(offset), SEEK_SET) < 0) return ErrnoError("seek");
    return absl::OkStatus();
  }

 private:
  const int fd_;
  const bool owned_;
  // Where the descriptor stood; -1: not seekable.
  off_t start_;
  std::optional<uint64_t> size_;
};

class DescriptorSink : public ByteSink {
 public:
  explicit DescriptorSink(int fd) : fd_(fd) {
    struct stat info;
    const bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    // What others append in between is not ours to cut off.
    const bool alone = (fcntl(fd, F_GETFL) & O_APPEND) == 0;
    if (regular && alone && lseek(fd, 0, SEEK_CUR) == info.st_size) start_ = info.st_size;
  }
  absl::Status Write(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t count = write(fd_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return ErrnoError("write");
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return absl::OkStatus();
  }
  absl::Status Restart() override {
    if (!start_) return ByteSink::Restart();
    if (ftruncate(fd_, *start_) != 0) return ErrnoError("truncate");
    if (lseek(fd_, *start_, SEEK_SET) < 0) return ErrnoError("seek");
    return absl::OkStatus();
  }

 private:
  const int fd_;
  // Where the body begins; nullopt: it cannot be taken back.
  std::optional<off_t> start_;
};

}  // namespace

std::unique_ptr<ByteSource> MakeStringSource(std::string_view bytes) {
  return std::make_unique<StringSource>(bytes);
}

std::unique_ptr<ByteSink> MakeStringSink(std::string* out) {
  return std::make_unique<StringSink>(out);
}

absl::StatusOr<std::unique_ptr<ByteSource>> OpenFileSource(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoError(path);
  return std::make_unique<DescriptorSource>(fd, /*owned=*/true);
}

std::unique_ptr<ByteSource> MakeDescriptorSource(int fd) {
  return std::make_unique<DescriptorSource>(fd, /*owned=*/false);
}

std::unique_ptr<ByteSink> MakeDescriptorSink(int fd) {
  return std::make_unique<DescriptorSink>(fd);
}

}  // namespace meridian
