// What the open replicas of a disk have told that they need.
#pragma once

#include <map>

#include "base/id.h"
#include "storage/run_needs.h"

namespace meridian::storage {

// Confined to the strand.
class ToldNeeds {
 public:
  void Set(ReplicaId replica, const RunNeeds& needs) { needs_[replica] = &needs; }
  void Forget(ReplicaId replica) { needs_.erase(replica); }
  // nullptr: it is not open, or has told nothing yet.
  const RunNeeds* Find(ReplicaId replica) const {
    const auto found = needs_.find(replica);
    return found == needs_.end() ? nullptr : found->second;
  }

 private:
  std::map<ReplicaId, const RunNeeds*> needs_;
};

}  // namespace meridian::storage
