// Which server leads which range of object names, as far as a client has heard. A hint: a server
// that does not lead says so.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace meridian::client_internal {

// Thread-safe. Times are of one monotonic clock.
class RouteCache {
 public:
  struct Route {
    // The range of object names; an empty end is no end.
    std::string begin;
    std::string end;
    // Of the map of the container that the range is from.
    uint64_t map_generation = 0;
    std::string leader;
    // Of the leader; compared within one range of one map only.
    uint64_t epoch = 0;
    absl::Duration expires_at;

    bool Holds(const std::string& object) const {
      return begin <= object && (end.empty() || object < end);
    }
  };

  // The leader for an object, unless unknown or expired at `now`.
  std::optional<std::string> Find(const std::string& container, const std::string& object,
                                  absl::Duration now) const;

  // Replaces what overlaps it, unless that is of a newer map, or of a newer epoch.
  void Store(const std::string& container, Route route);

  // `leader` did not answer or does not lead: forgets it, unless something newer is known.
  void Forget(const std::string& container, const std::string& object, const std::string& leader);

  // `from` named another leader for the object, without saying of which range: keeps the range, if
  // it is known.
  void Redirect(const std::string& container, const std::string& object, const std::string& from,
                Route route);
  // `from`, asked about the object, named the leader of a range. A server that has only heard of an
  // older map is not believed.
  void RedirectRange(const std::string& container, const std::string& object,
                     const std::string& from, Route route);

 private:
  // By the range's begin; ranges do not overlap.
  using Ranges = std::map<std::string, Route>;
  static constexpr size_t kMaxContainers = 10'000;
  static constexpr size_t kMaxRanges = 10'000;

  static Ranges::const_iterator FindRange(const Ranges& ranges, const std::string& object);

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Ranges> containers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::client_internal
