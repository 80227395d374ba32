// What an operator does once with a cluster of processes: make it, and administrator's keys for it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/random.h"
#include "meridian/internal/v1/node_config.pb.h"

namespace meridian::server {

// Where the administrator's key goes.
struct ProfileOutput {
  // A new file.
  std::string path;
  // Of nodes where clients can begin, HOST:PORT; empty: the configured node's public address.
  std::vector<std::string> endpoints;
};

// Makes the cluster that the configuration names: its record in the coordination store, and its
// first administrator's key. ALREADY_EXISTS: there is one, or the profile's file is there; nothing
// was changed. UNAVAILABLE: etcd does not answer. Errors also as of ClusterConnection::Open.
absl::Status InitCluster(const internal::v1::NodeConfig& config, const ProfileOutput& profile,
                         Clock& clock, Random& random);

// Makes one more administrator's key of a cluster that is there, for an operator who has lost the
// others: whoever has the keyring may. NOT_FOUND: there is no cluster.
absl::Status MakeAdministrator(const internal::v1::NodeConfig& config, const ProfileOutput& profile,
                               Clock& clock, Random& random);

}  // namespace meridian::server
