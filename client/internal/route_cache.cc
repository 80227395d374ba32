#include "client/internal/route_cache.h"

#include <iterator>
#include <utility>

namespace meridian::client_internal {
namespace {

bool Overlaps(const RouteCache::Route& a, const RouteCache::Route& b) {
  return (a.end.empty() || b.begin < a.end) && (b.end.empty() || a.begin < b.end);
}

bool IsNewer(const RouteCache::Route& a, const RouteCache::Route& b) {
  if (a.map_generation != b.map_generation) return a.map_generation > b.map_generation;
  return a.epoch > b.epoch;
}

}  // namespace

RouteCache::Ranges::const_iterator RouteCache::FindRange(const Ranges& ranges,
                                                         const std::string& object) {
  auto it = ranges.upper_bound(object);
  if (it == ranges.begin()) return ranges.end();
  --it;
  return it->second.Holds(object) ? it : ranges.end();
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
    if (Overlaps(known, route) && IsNewer(known, route)) return;
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
                          const std::string& from, Route route) {
  {
    absl::MutexLock lock(&mutex_);
    auto found = containers_.find(container);
    if (found != containers_.end()) {
      auto range = FindRange(found->second, object);
      if (range != found->second.end()) {
        route.begin = range->second.begin;
        route.end = range->second.end;
        route.map_generation = range->second.map_generation;
      } else if (!found->second.empty()) {
        // Other ranges are known, this one is not: assume no more than the object itself.
        route.begin = object;
        route.end = object + '\0';
      }
    }
  }
  Forget(container, object, from);
  Store(container, std::move(route));
}

void RouteCache::RedirectRange(const std::string& container, const std::string& object,
                               const std::string& from, Route route) {
  {
    absl::MutexLock lock(&mutex_);
    auto found = containers_.find(container);
    if (found != containers_.end()) {
      auto range = FindRange(found->second, object);
      if (range != found->second.end() && range->second.map_generation > route.map_generation) {
        return;
      }
    }
  }
  Forget(container, object, from);
  Store(container, std::move(route));
}

}  // namespace meridian::client_internal
