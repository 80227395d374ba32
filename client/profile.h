// A profile: where a Meridian cluster is and who calls it. Kept in a JSON file:
//
//   {
//     "endpoint": "127.0.0.1:7443",            HOST:PORT, or "endpoints": [...] in order of
//     preference "ca_pem": "-----BEGIN CERTIFICATE-----...",  who signs the servers' certificates
//     "access_key": "mak1_...",                administrator's or a tenant's
//     "tenant": "tenants/acme"                 with a tenant's key: whose it is
//   }
//
// "server_name" (optional) is expected in the servers' certificates instead of the host of the
// endpoint. Unknown fields are ignored.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace meridian {

struct Profile {
  // HOST:PORT each; at least one. The first that answers is used to find the others.
  std::vector<std::string> endpoints;
  // PEM certificates; never empty: there is no connection without TLS.
  std::string ca_pem;
  std::string access_key;
  // `tenants/{tenant}`; empty for an administrator.
  std::string tenant;
  // Empty: the endpoint's host.
  std::string server_name;

  bool operator==(const Profile&) const = default;
};

// INVALID_ARGUMENT with what is wrong; never with the key.
absl::StatusOr<Profile> ParseProfile(std::string_view json);
std::string FormatProfile(const Profile& profile);

// NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT; the message names the file.
absl::StatusOr<Profile> LoadProfile(const std::string& path);
// Written beside, under a name of its own, and moved into place; readable by its owner only.
absl::Status SaveProfile(const Profile& profile, const std::string& path);
// The same for a file that is not there. ALREADY_EXISTS, with nothing changed: it is.
absl::Status CreateProfile(const Profile& profile, const std::string& path);

}  // namespace meridian
