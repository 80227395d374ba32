#include "server/group_scrubs.h"

#include <string>

namespace meridian::server {

ComparisonVerdict Judge(const replication::StateComparison& comparison) {
  ComparisonVerdict verdict;
  std::map<std::string, std::set<ReplicaId>> by_hash;
  for (const auto& [replica, digest] : comparison.digests) {
    if (digest.ok()) {
      by_hash[*digest].insert(replica);
    } else {
      verdict.uncompared.insert(replica);
    }
  }
  if (by_hash.size() < 2) return verdict;
  for (const auto& [hash, replicas] : by_hash) {
    const bool majority = 2 * replicas.size() > comparison.digests.size();
    if (!majority) verdict.differing.insert(replicas.begin(), replicas.end());
  }
  return verdict;
}

}  // namespace meridian::server
