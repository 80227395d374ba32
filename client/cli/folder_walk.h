// The files below a folder, in byte order of their names: the order in which the store lists
// objects, so that the two can be compared side by side in little memory.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace meridian::cli {

struct LocalFile {
  // Relative to the root, with '/'.
  std::string name;
  std::string path;
  uint64_t size_bytes = 0;
};

// Follows symbolic links, but not into a folder that it is in already. Not thread-safe.
class FolderWalk {
 public:
  // `skipped(path, why)` hears of what is left out: links that lead nowhere or in a circle, and
  // what is neither file nor folder.
  using Skipped = std::function<void(const std::string& path, const std::string& why)>;

  FolderWalk(std::string root, Skipped skipped);

  // nullopt: the end. After an error (a folder that cannot be read) the walk goes on behind it.
  absl::StatusOr<std::optional<LocalFile>> Next();

 private:
  struct Entry {
    // A folder's ends with '/', which sorts its contents where they belong.
    std::string name;
    uint64_t size_bytes;
    dev_t device;
    ino_t inode;
  };
  // A folder that the walk is in.
  struct Level {
    std::string path;
    std::string prefix;
    dev_t device;
    ino_t inode;
    std::vector<Entry> entries;
    size_t next = 0;
  };

  absl::Status Enter(std::string path, std::string prefix, dev_t device, ino_t inode);
  void AddEntry(Level& level, const std::string& name);
  bool IsInside(const Entry& folder) const;

  const Skipped skipped_;
  std::string root_;
  bool started_ = false;
  std::vector<Level> levels_;
};

}  // namespace meridian::cli
