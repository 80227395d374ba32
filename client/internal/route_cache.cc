#include "client/internal/route_cache.h"

#include <iterator>
#include <utility>

namespace meridian::client_internal {
namespace {

bool Overlaps(const RouteCache::Route& a, const RouteCache::Route& b) {
  return (a.end.empty() || b.begin < a.end) && (b.end.empty() || a.begin < b.end);
}

}  // namespace

RouteCache::Ranges::const_iterator RouteCache::FindRange(const Ranges& ranges,
                                                         const std::string& object) {
  auto it = ranges.upper_bound(object);
  if (it == ranges.begin()) return ranges.end();
  --it;
  const bool inside = it->second.end.empty() || object < it->second.end;
  return inside ? it : ranges.end();
}

std::optional<std::string> RouteCache::Find(const std::string& container, const std::string& object,
                                            absl::Duration now) const {
  absl::MutexLock lock(&mutex_);
  auto found = containers_.find(container);
  if (found == containers_.end()) return std::nullopt;
  auto range = FindRange(found->second, object);
  if (range == found->second.end() || range->second.expires_at <= now) return std::nullopt;
  return range->second.leader;
}

void RouteCache::Store(const std::string& container, Route route) {
  absl::MutexLock lock(&mutex_);
  if (containers_.size() >= kMaxContainers && !containers_.contains(container)) {
    containers_.clear();
  }
  Ranges& ranges = containers_[container];
  if (ranges.size() >= kMaxRanges) ranges.clear();
  for (const auto& [begin, known] : ranges) {
    if (Overlaps(known, route) && known.epoch > route.epoch) return;
  }
  std::erase_if(ranges, [&](const auto& known) { return Overlaps(known.second, route); });
  std::string begin = route.begin;
  ranges.insert_or_assign(std::move(begin), std::move(route));
}

void RouteCache::Forget(const std::string& container, const std::string& object,
                        const std::string& leader) {
  absl::MutexLock lock(&mutex_);
  auto found = containers_.find(container);
  if (found == containers_.end()) return;
  auto range = FindRange(found->second, object);
  if (range != found->second.end() && range->second.leader == leader) found->second.erase(range);
}

void RouteCache::Redirect(const std::string& container, const std::string& object,
                          const std::string& leader, uint64_t epoch, absl::Duration expires_at) {
  Route route{.begin = "", .end = "", .leader = leader, .epoch = epoch, .expires_at = expires_at};
  {
    absl::MutexLock lock(&mutex_);
    auto found = containers_.find(container);
    if (found != containers_.end()) {
      auto range = FindRange(found->second, object);
      if (range != found->second.end()) {
        route.begin = range->second.begin;
        route.end = range->second.end;
      } else if (!found->second.empty()) {
        // Other ranges are known, this one is not: assume no more than the object itself.
        route.begin = object;
        route.end = object + '\0';
      }
    }
  }
  Store(container, std::move(route));
}

}  // namespace meridian::client_internal
