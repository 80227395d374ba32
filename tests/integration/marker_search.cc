#include "tests/integration/marker_search.h"

#include <algorithm>
#include <fstream>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "base/random.h"

namespace meridian {
namespace {

constexpr size_t kBlockBytes = 4 << 20;

uint16_t PrefixOf(const char* bytes) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) << 8 |
                               static_cast<uint8_t>(bytes[1]));
}

}  // namespace

Marker NewMarker(size_t size) {
  SystemRandom random;
  Marker marker;
  marker.raw.resize(size);
  random.Fill({reinterpret_cast<uint8_t*>(marker.raw.data()), size});
  marker.hex = absl::BytesToHexString(marker.raw);
  marker.base64 = absl::Base64Escape(marker.raw);
  return marker;
}

void MarkerSearch::Add(const std::string& what, const std::string& needle) {
  by_prefix_[PrefixOf(needle.data())].push_back(needles_.size());
  needles_.push_back({what, needle});
  longest_ = std::max(longest_, needle.size());
}

void MarkerSearch::Add(const std::string& what, const Marker& marker) {
  constexpr size_t kSkipped = 4;
  std::string upper = marker.hex, web = absl::WebSafeBase64Escape(marker.raw);
  absl::AsciiStrToUpper(&upper);
  Add(what + ", raw", marker.raw.substr(kSkipped));
  Add(what + ", hex", marker.hex.substr(kSkipped));
  Add(what + ", upper-case hex", upper.substr(kSkipped));
  Add(what + ", base64", marker.base64.substr(kSkipped, 36));
  Add(what + ", web-safe base64", web.substr(kSkipped, 36));
}

std::map<std::string, std::string> MarkerSearch::In(const std::string& folder) const {
  std::map<std::string, std::string> found;
  std::error_code error;
  std::filesystem::recursive_directory_iterator files(folder, error), end;
  for (; !error && files != end; files.increment(error)) {
    if (files->is_regular_file(error)) InFile(files->path(), found);
  }
  return found;
}

void MarkerSearch::InFile(const std::filesystem::path& path,
                          std::map<std::string, std::string>& found) const {
  std::ifstream file(path, std::ios::binary);
  std::string block(kBlockBytes, '\0');
  size_t kept = 0;  // from the block before: a needle may lie across
  while (file) {
    file.read(block.data() + kept, static_cast<std::streamsize>(block.size() - kept));
    const size_t size = kept + static_cast<size_t>(file.gcount());
    InBlock({block.data(), size}, path, found);
    kept = std::min(size, longest_ - 1);
    block.replace(0, kept, block, size - kept, kept);
  }
}

void MarkerSearch::InBlock(std::string_view block, const std::string& path,
                           std::map<std::string, std::string>& found) const {
  for (size_t i = 0; i + 1 < block.size(); ++i) {
    for (const size_t candidate : by_prefix_[PrefixOf(block.data() + i)]) {
      const Needle& needle = needles_[candidate];
      if (block.substr(i).starts_with(needle.bytes)) found.emplace(needle.what, path);
    }
  }
}

}  // namespace meridian
