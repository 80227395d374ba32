// Where downloads go: whatever an object is called and whatever lies in the folder, nothing is
// written outside of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace meridian::cli {

// An open descriptor, closed with the object.
class OwnedFd {
 public:
  explicit OwnedFd(int fd = -1) : fd_(fd) {}
  ~OwnedFd();
  OwnedFd(OwnedFd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  OwnedFd& operator=(OwnedFd&& other) noexcept;
  int get() const { return fd_; }

 private:
  int fd_;
};

// OK if the name can be a path below a folder and nothing else: no empty, "." or ".." segment (so
// neither absolute nor ending with '/'), no NUL. INVALID_ARGUMENT otherwise, saying what to do.
absl::Status CheckRelativeName(std::string_view name);

// A file that appears under its name only when it is complete.
class NewFile {
 public:
  // Removes what was written, unless committed.
  ~NewFile();
  NewFile(NewFile&& other) = default;

  // For writing, from the beginning.
  int fd() const { return fd_.get(); }
  // Takes the name; replaces a file or a link (not its target) that has it.
  absl::Status Commit();

 private:
  friend class TargetFolder;
  NewFile(std::shared_ptr<OwnedFd> parent, OwnedFd fd, std::string temporary, std::string name)
      : parent_(std::move(parent)),
        fd_(std::move(fd)),
        temporary_(std::move(temporary)),
        name_(std::move(name)) {}

  // Null in what was moved from.
  std::shared_ptr<OwnedFd> parent_;
  OwnedFd fd_;
  std::string temporary_;
  std::string name_;
  bool committed_ = false;
};

// Thread-safe.
class TargetFolder {
 public:
  // Makes the folder, and those above it, if need be. `path` itself may lead through links: the
  // user chose it.
  static absl::StatusOr<TargetFolder> Open(const std::string& path);

  // Begins a file; makes the folders that its name (see CheckRelativeName) asks for.
  // FAILED_PRECONDITION if a link or a file stands where a folder must be.
  absl::StatusOr<NewFile> Create(const std::string& name) const;

  // Whether there is such a file with this content. Never follows a link.
  bool HasIdentical(const std::string& name, uint64_t size_bytes, uint32_t crc32c) const;

 private:
  explicit TargetFolder(OwnedFd root) : root_(std::make_shared<OwnedFd>(std::move(root))) {}

  // The folder that holds `name`'s last segment, which is returned in `leaf`.
  absl::StatusOr<std::shared_ptr<OwnedFd>> OpenParent(const std::string& name, bool make,
                                                      std::string* leaf) const;

  std::shared_ptr<OwnedFd> root_;
};

// CRC-32C of a file from its current position to its end.
absl::StatusOr<uint32_t> ChecksumOfFile(int fd);

}  // namespace meridian::cli
