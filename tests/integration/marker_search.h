// Markers that a test plants in what it stores, and the search for them in the files of a folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace meridian {

// Random bytes in the forms in which they could lie in a file.
struct Marker {
  std::string raw, hex, base64;
};

Marker NewMarker(size_t size = 32);

// Finds any of many strings in the files of a folder.
class MarkerSearch {
 public:
  void Add(const std::string& what, const std::string& needle);
  // In all its forms. RocksDB leaves out what a key shares with the key before: the first bytes of
  // a form are not looked for. Nor the last of base64, which depend on what follows.
  void Add(const std::string& what, const Marker& marker);

  // What was found, and in which file first. Files that vanish meanwhile are left out.
  std::map<std::string, std::string> In(const std::string& folder) const;

 private:
  struct Needle {
    std::string what, bytes;
  };

  void InFile(const std::filesystem::path& path, std::map<std::string, std::string>& found) const;
  void InBlock(std::string_view block, const std::string& path,
               std::map<std::string, std::string>& found) const;

  std::vector<Needle> needles_;
  std::vector<std::vector<size_t>> by_prefix_ = std::vector<std::vector<size_t>>(1 << 16);
  size_t longest_ = 2;
};

}  // namespace meridian
