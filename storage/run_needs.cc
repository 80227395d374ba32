#include "storage/run_needs.h"

#include <algorithm>

#include "base/status.h"

namespace meridian::storage {

bool JointNeeds::MayNeedAny() const {
  return std::any_of(needs_.begin(), needs_.end(),
                     [](const RunNeeds* needs) { return needs == nullptr || needs->MayNeedAny(); });
}

bool JointNeeds::Holds(RunId run) const {
  return std::any_of(needs_.begin(), needs_.end(), [run](const RunNeeds* needs) {
    return needs != nullptr && needs->Holds(run);
  });
}

absl::StatusOr<bool> JointNeeds::Knows(RunId run) const {
  for (const RunNeeds* needs : needs_) {
    if (needs == nullptr) continue;
    ASSIGN_OR_RETURN(const bool knows, needs->Knows(run));
    if (knows) return true;
  }
  return false;
}

}  // namespace meridian::storage
