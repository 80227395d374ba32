#include "server/standalone/cluster_setup.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "client/profile.h"
#include "crypto/cluster_key.h"
#include "crypto/key_hierarchy.h"
#include "server/standalone/cluster_connection.h"
#include "tenancy/access_keys.h"
#include "tenancy/bootstrap.h"
#include "tenancy/catalog_store.h"
#include "tenancy/tenants.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;

// Checked first: a key that cannot be written down is lost.
absl::Status CheckOutput(const ProfileOutput& output) {
  std::error_code error;
  if (std::filesystem::exists(output.path, error)) {
    return absl::AlreadyExistsError(absl::StrCat(
        output.path, " exists: it may hold a key that is kept nowhere else. Give another file"));
  }
  const std::filesystem::path parent = std::filesystem::absolute(output.path, error).parent_path();
  if (error || !std::filesystem::is_directory(parent, error)) {
    return absl::NotFoundError(absl::StrCat("folder ", parent.string(), " does not exist"));
  }
  std::string probe = output.path + ".XXXXXX";
  const int fd = mkostemp(probe.data(), O_CLOEXEC);
  if (fd < 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot write into ", parent.string(), ": ", std::strerror(errno)));
  }
  close(fd);
  unlink(probe.c_str());
  return absl::OkStatus();
}

absl::Status ClusterExists(const pb::NodeConfig& config) {
  return absl::AlreadyExistsError(absl::StrCat(
      "there is a cluster under ", config.etcd().key_prefix(),
      " in etcd already; nothing was changed. If its administrator's profile is lost, make another "
      "with `meridiand administrator`"));
}

absl::Status WriteProfile(const pb::NodeConfig& config, const ClusterConnection& connection,
                          const ProfileOutput& output, std::string token) {
  Profile profile;
  profile.endpoints = output.endpoints;
  if (profile.endpoints.empty()) {
    profile.endpoints = {config.public_().advertise().empty() ? config.public_().listen()
                                                              : config.public_().advertise()};
  }
  profile.ca_pem = connection.tls().ca_certificate;
  profile.access_key = std::move(token);
  const absl::Status saved = CreateProfile(profile, output.path);
  return Annotate(saved,
                  "the key was made and is lost: make another with `meridiand administrator`");
}

}  // namespace

absl::Status InitCluster(const pb::NodeConfig& config, const ProfileOutput& profile, Clock& clock,
                         Random& random) {
  RETURN_IF_ERROR(CheckOutput(profile));
  ASSIGN_OR_RETURN(const auto connection, ClusterConnection::Open(config, random));
  absl::StatusOr<tenancy::Cluster> cluster = connection->AwaitCluster();
  if (cluster.ok()) return ClusterExists(config);
  if (!absl::IsNotFound(cluster.status())) return cluster.status();
  cluster = tenancy::CreateCluster(connection->store(), connection->kms(), clock, random);
  if (absl::IsAlreadyExists(cluster.status())) return ClusterExists(config);
  if (absl::IsUnavailable(cluster.status())) {
    return Annotate(cluster.status(),
                    "run it again; if it then says that there is a cluster "
                    "already, go on with `meridiand administrator`");
  }
  RETURN_IF_ERROR(cluster.status());
  return WriteProfile(config, *connection, profile, *std::move(cluster->administrator_token));
}

absl::Status MakeAdministrator(const pb::NodeConfig& config, const ProfileOutput& profile,
                               Clock& clock, Random& random) {
  RETURN_IF_ERROR(CheckOutput(profile));
  ASSIGN_OR_RETURN(const auto connection, ClusterConnection::Open(config, random));
  ASSIGN_OR_RETURN(const tenancy::Cluster cluster, connection->AwaitCluster());
  const crypto::ClusterKey cluster_key(cluster.key);
  crypto::KeyHierarchy keys(connection->kms(), clock, random, {});
  tenancy::CatalogStore store(connection->store(), cluster_key, random, clock);
  tenancy::TenantCatalog tenants(store, keys);
  tenancy::AccessKeyCatalog access_keys(store, tenants);
  ASSIGN_OR_RETURN(tenancy::CreatedAccessKey created,
                   access_keys.CreateAdministrator("administrator"));
  return WriteProfile(config, *connection, profile, std::move(created.token));
}

}  // namespace meridian::server
