#include "coordination/etcd/identity_guard.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace meridian::coordination {

StoreIdentity IdentityGuard::seen() const {
  absl::MutexLock lock(&mutex_);
  return seen_;
}

absl::Status IdentityGuard::Check(const std::string& member,
                                  const etcdserverpb::ResponseHeader& header,
                                  std::optional<int64_t> floor) {
  absl::MutexLock lock(&mutex_);
  if (header.cluster_id() == 0) {
    return absl::UnavailableError(
        absl::StrCat("etcd at ", member, " does not tell which cluster it is"));
  }
  if (seen_.cluster_id != 0 && header.cluster_id() != seen_.cluster_id) {
    return absl::UnavailableError(
        absl::StrCat("etcd at ", member, " is of the cluster ", absl::Hex(header.cluster_id()),
                     ", not of ", absl::Hex(seen_.cluster_id),
                     ", which holds this system's data: its answers ", "are not trusted"));
  }
  if (floor.has_value() && header.revision() < *floor) {
    return absl::UnavailableError(absl::StrCat("etcd at ", member, " is at revision ",
                                               header.revision(), ", behind ", *floor,
                                               ", which was seen before: its data are from the "
                                               "past, as after the restore of a backup, and ",
                                               "are not trusted"));
  }
  seen_.cluster_id = header.cluster_id();
  if (floor.has_value()) seen_.revision = std::max(seen_.revision, header.revision());
  return absl::OkStatus();
}

}  // namespace meridian::coordination
