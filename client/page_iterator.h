// Lists that come in pages, walked item by item.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace meridian {

template <typename Item>
struct Page {
  std::vector<Item> items;
  // Empty: the last page.
  std::string next_page_token;
};

// Fetches a page when the items of the one before are used up. Used by one thread at a time; the
// Client or Admin that made it must outlive it.
//
//   auto objects = client.ListObjects(request);
//   for (;;) {
//     absl::StatusOr<std::optional<ObjectEntry>> entry = objects.Next();
//     if (!entry.ok()) return entry.status();
//     if (!entry->has_value()) break;
//     Use(**entry);
//   }
template <typename Item>
class PageIterator {
 public:
  using Fetch = std::function<absl::StatusOr<Page<Item>>(const std::string& page_token)>;

  explicit PageIterator(Fetch fetch) : fetch_(std::move(fetch)) {}

  // nullopt: the end. After an error, Next tries the same page again.
  absl::StatusOr<std::optional<Item>> Next() {
    while (position_ == page_.items.size()) {
      if (started_ && page_.next_page_token.empty()) return std::optional<Item>();
      absl::StatusOr<Page<Item>> page = fetch_(page_.next_page_token);
      if (!page.ok()) return page.status();
      started_ = true;
      page_ = *std::move(page);
      position_ = 0;
    }
    return std::optional<Item>(std::move(page_.items[position_++]));
  }

 private:
  const Fetch fetch_;
  Page<Item> page_;
  size_t position_ = 0;
  bool started_ = false;
};

}  // namespace meridian
