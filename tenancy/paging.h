// Cutting a sorted list into pages. For this folder's own use.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/status.h"
#include "tenancy/catalog_store.h"
#include "tenancy/errors.h"
#include "tenancy/tenants.h"

namespace meridian::tenancy {

template <typename Item>
struct CutPage {
  std::vector<Item> items;
  std::string next_page_token;
};

// Of `items`, those that `page` asks for, in the order of `key`, which returns a distinct string
// for each of them. `scope` names the list in page tokens.
template <typename Item, typename Key>
absl::StatusOr<CutPage<Item>> Cut(std::vector<Item> items, Key key, CatalogStore& store,
                                  std::string_view scope, const Page& page) {
  constexpr int32_t kDefaultSize = 100, kMaxSize = 1000;
  if (page.size < 0 || page.size > kMaxSize) {
    return InvalidFieldError("page_size", "a page has 1-1000 items, or 0 for the default");
  }
  const auto size = static_cast<size_t>(page.size == 0 ? kDefaultSize : page.size);
  ASSIGN_OR_RETURN(const std::string last, store.OpenPageToken(scope, page.token));

  std::sort(items.begin(), items.end(),
            [&](const Item& a, const Item& b) { return key(a) < key(b); });
  const auto first = page.token.empty()
                         ? items.begin()
                         : std::upper_bound(items.begin(), items.end(), last,
                                            [&](const std::string& name, const Item& item) {
                                              return name < key(item);
                                            });
  CutPage<Item> cut;
  const auto left = static_cast<size_t>(items.end() - first);
  const auto end = first + static_cast<std::ptrdiff_t>(std::min(size, left));
  cut.items.assign(std::make_move_iterator(first), std::make_move_iterator(end));
  if (left > size) cut.next_page_token = store.SealPageToken(scope, key(cut.items.back()));
  return cut;
}

}  // namespace meridian::tenancy
