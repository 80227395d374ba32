#include "client/cli/folder_walk.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "base/status.h"

namespace meridian::cli {
namespace {

absl::Status FolderError(const std::string& path, int error) {
  const std::string message = path + ": " + std::strerror(error);
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(message);
  if (error == EACCES) return absl::PermissionDeniedError(message);
  return absl::UnknownError(message);
}

}  // namespace

FolderWalk::FolderWalk(std::string root, Skipped skipped)
    : skipped_(std::move(skipped)), root_(std::move(root)) {
  while (root_.size() > 1 && root_.back() == '/') root_.pop_back();
}

absl::StatusOr<std::optional<LocalFile>> FolderWalk::Next() {
  if (!started_) {
    started_ = true;
    struct stat info;
    if (stat(root_.c_str(), &info) != 0) return FolderError(root_, errno);
    RETURN_IF_ERROR(Enter(root_, "", info.st_dev, info.st_ino));
  }
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.next == level.entries.size()) {
      levels_.pop_back();
      continue;
    }
    const Entry entry = level.entries[level.next++];
    std::string name = level.prefix + entry.name;
    std::string path = level.path + "/" + entry.name;
    if (entry.name.back() != '/') {
      return LocalFile{std::move(name), std::move(path), entry.size_bytes};
    }
    path.pop_back();
    if (IsInside(entry)) {
      skipped_(path, "a link back to a folder that it is in");
      continue;
    }
    RETURN_IF_ERROR(Enter(std::move(path), std::move(name), entry.device, entry.inode));
  }
  return std::optional<LocalFile>();
}

absl::Status FolderWalk::Enter(std::string path, std::string prefix, dev_t device, ino_t inode) {
  std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (!folder) return FolderError(path, errno);
  Level level{std::move(path), std::move(prefix), device, inode, {}};
  for (;;) {
    errno = 0;
    const dirent* found = readdir(folder.get());
    if (found == nullptr) break;
    const std::string name = found->d_name;
    if (name != "." && name != "..") AddEntry(level, name);
  }
  if (errno != 0) return FolderError(level.path, errno);
  std::sort(level.entries.begin(), level.entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  levels_.push_back(std::move(level));
  return absl::OkStatus();
}

void FolderWalk::AddEntry(Level& level, const std::string& name) {
  const std::string path = level.path + "/" + name;
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    skipped_(path, errno == ENOENT ? "a link that leads nowhere" : std::strerror(errno));
  } else if (S_ISDIR(info.st_mode)) {
    level.entries.push_back({name + "/", 0, info.st_dev, info.st_ino});
  } else if (S_ISREG(info.st_mode)) {
    level.entries.push_back({name, static_cast<uint64_t>(info.st_size), info.st_dev, info.st_ino});
  } else {
    skipped_(path, "neither a file nor a folder");
  }
}

bool FolderWalk::IsInside(const Entry& folder) const {
  return std::any_of(levels_.begin(), levels_.end(), [&](const Level& level) {
    return level.device == folder.device && level.inode == folder.inode;
  });
}

}  // namespace meridian::cli
