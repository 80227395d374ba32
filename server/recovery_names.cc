#include "server/recovery_names.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace meridian::server {
namespace {

using objects::NameRange;
using tenancy::PartitionRange;

bool Overlap(const NameRange& a, const NameRange& b) {
  return (a.end.empty() || b.start < a.end) && (b.end.empty() || a.start < b.end);
}

const PartitionRange* Find(PartitionId partition, const std::vector<PartitionRange>& map) {
  const auto found = std::find_if(map.begin(), map.end(),
                                  [&](const auto& one) { return one.partition == partition; });
  return found == map.end() ? nullptr : &*found;
}

NameRange NamesOf(const PartitionRange& range) { return {range.start, range.end}; }

}  // namespace

std::string CompareNames(const NameRange& owned, PartitionId self,
                         const std::vector<PartitionRange>& map) {
  const PartitionRange* const given = Find(self, map);
  if (given == nullptr || owned == NamesOf(*given)) return "";
  std::vector<std::string> others;
  for (const PartitionRange& range : map) {
    if (range.partition != self && Overlap(owned, NamesOf(range))) {
      others.push_back(range.partition.ToHex());
    }
  }
  if (others.empty()) {
    return "the survivor's log has given names away that the container's map still shows here: "
           "their partition takes them over once this group has a leader";
  }
  return absl::StrCat(
      "the survivor's log ends before names went to ", absl::StrJoin(others, ", "),
      ": it still has them, as they were then. Each of these partitions that has ever served keeps "
      "what it has, and the survivor gives its copy of those names up as soon as it serves; one "
      "that never did begins with the survivor's copy. Recover those that have no leader too");
}

std::vector<PartitionId> PossibleHolders(PartitionId self, const std::vector<PartitionRange>& map) {
  std::vector<PartitionId> holders;
  const PartitionRange* const given = Find(self, map);
  if (given == nullptr) return holders;
  for (const PartitionRange& range : map) {
    if (range.start < given->start) holders.push_back(range.partition);
  }
  return holders;
}

absl::StatusOr<std::optional<PartitionId>> FindHolder(PartitionId self,
                                                      const std::vector<PartitionRange>& map,
                                                      const std::vector<OwnedNames>& others) {
  const PartitionRange* const given = Find(self, map);
  if (given == nullptr) {
    return absl::FailedPreconditionError(
        "the container's map does not show it: it has never had a name");
  }
  const OwnedNames* holder = nullptr;
  for (const OwnedNames& other : others) {
    if (!Overlap(other.owned, NamesOf(*given))) continue;
    if (!other.is_settled) {
      return absl::UnavailableError(absl::StrCat("partition ", other.partition.ToHex(),
                                                 " has yet to apply what may give names away: "
                                                 "try again"));
    }
    if (holder == nullptr || other.owned.start > holder->owned.start) holder = &other;
  }
  return holder == nullptr ? std::nullopt : std::optional(holder->partition);
}

}  // namespace meridian::server
