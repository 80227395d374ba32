// The C++ client library for operators: tenants, access keys, the cluster, and faults on purpose in
// dev mode. Waits and retries as Client does (client/client.h).
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/options.h"
#include "client/page_iterator.h"
#include "client/profile.h"
#include "meridian/v1/access_keys.pb.h"
#include "meridian/v1/cluster.pb.h"
#include "meridian/v1/tenants.pb.h"

namespace meridian {

namespace client_internal {
class Session;
}

// Thread-safe; every call blocks its thread. Needs an administrator's profile, but for the access
// keys of a tenant, which the tenant may manage itself.
class Admin {
 public:
  explicit Admin(const Profile& profile, const ClientOptions& options = {});
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  // -- Tenants, by their resource names `tenants/{tenant}`

  absl::StatusOr<v1::Tenant> CreateTenant(const v1::CreateTenantRequest& request,
                                          const CallOptions& options = {});
  absl::StatusOr<v1::Tenant> GetTenant(const std::string& name, const CallOptions& options = {});
  absl::Status DeleteTenant(const std::string& name, const CallOptions& options = {});
  PageIterator<v1::Tenant> ListTenants(const CallOptions& options = {});

  // -- Access keys, by their resource names `tenants/{tenant}/accessKeys/{key}`

  // Not repeated if the answer is lost, since a secret is shown once: on UNAVAILABLE look for a key
  // that nobody knows in ListAccessKeys, and revoke it.
  absl::StatusOr<v1::CreateAccessKeyResponse> CreateAccessKey(
      const v1::CreateAccessKeyRequest& request, const CallOptions& options = {});
  absl::StatusOr<v1::AccessKey> RevokeAccessKey(const std::string& name,
                                                const CallOptions& options = {});
  PageIterator<v1::AccessKey> ListAccessKeys(const std::string& tenant,
                                             const CallOptions& options = {});

  // -- The cluster

  absl::StatusOr<v1::Topology> GetTopology(const CallOptions& options = {});
  absl::StatusOr<v1::ListNodesResponse> ListNodes(const CallOptions& options = {});
  // Asks for the node to be emptied, or no more; ListNodes tells how far it is.
  absl::Status DrainNode(const std::string& node, bool cancel, const CallOptions& options = {});
  absl::Status RemoveNode(const std::string& node, const CallOptions& options = {});
  // Asks for the disk (32 hex digits) to be taken out, or no more; the same call again tells how
  // far it is. ABORTED: ask again.
  absl::StatusOr<v1::ReplaceDiskResponse> ReplaceDisk(const std::string& disk, bool cancel,
                                                      const CallOptions& options = {});
  // Raises the cluster's format version, once all nodes run a newer program; `check_only`: tells
  // what it would do.
  absl::StatusOr<v1::UpgradeFormatResponse> UpgradeFormat(bool check_only,
                                                          const CallOptions& options = {});
  // Of a group that has lost its quorum for good: tells, or, with `accept_data_loss`, does.
  // ABORTED: it is not as it was shown.
  absl::StatusOr<v1::RecoverGroupResponse> RecoverGroup(const v1::RecoverGroupRequest& request,
                                                        const CallOptions& options = {});
  PageIterator<v1::Group> ListGroups(const v1::ListGroupsRequest& request,
                                     const CallOptions& options = {});

  // -- Dev mode: nodes as "east-1a", zones as "east-1"

  absl::Status StopNode(const std::string& node, const CallOptions& options = {});
  absl::Status StartNode(const std::string& node, const CallOptions& options = {});
  absl::Status StopZone(const std::string& zone, const CallOptions& options = {});
  absl::Status StartZone(const std::string& zone, const CallOptions& options = {});

 private:
  const std::unique_ptr<client_internal::Session> session_;
};

}  // namespace meridian
