// Immutable bytes with shared ownership: a body goes from socket to cipher to disk and to several
// peers without being copied.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace meridian {

// Copying shares the bytes. Thread-safe as std::shared_ptr is.
class Buffer {
 public:
  Buffer() = default;
  static Buffer FromString(std::string bytes) {
    auto owner = std::make_shared<const std::string>(std::move(bytes));
    std::string_view view = *owner;
    return Buffer(std::move(owner), view);
  }
  // `view` must stay valid and unchanged while `owner` lives.
  Buffer(std::shared_ptr<const void> owner, std::string_view view)
      : owner_(std::move(owner)), view_(view) {}

  std::string_view view() const { return view_; }
  size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }
  // Shares ownership; offset + size must lie within this buffer.
  Buffer Slice(size_t offset, size_t size) const {
    return Buffer(owner_, view_.substr(offset, size));
  }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view view_;
};

}  // namespace meridian
