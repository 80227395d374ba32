// The data folder of a development cluster: who may use it, and what it holds beside the nodes'
// disks.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/random.h"
#include "crypto/certificate_authority.h"
#include "crypto/kms.h"
#include "server/topology.h"

namespace meridian::server {

// DIR/
//   LOCK                 held by the one process that uses the folder
//   meridian.dev         "meridian dev data folder, format 2"
//   topology.textproto   as at the first start
//   ca.crt, ca.key       the cluster's certificate authority
//   keyring, keyring.passphrase   the KMS (0600)
//   coordination.key     of the coordination store's files, wrapped by the KMS
//   coordination/        the coordination store
//   nodes/<node>/        each node's wrapped key and disk
//   endpoint             where it last listened
//   admin.profile        for the administrator (0600)
class DataFolder {
 public:
  // Makes the folder if it is not there. `topology`: nullopt for that of the first start, which is
  // the default one then. FAILED_PRECONDITION, with nothing changed: in use by another process, of
  // another version, holds something else, or has another topology.
  static absl::StatusOr<std::unique_ptr<DataFolder>> Open(const std::string& path,
                                                          std::optional<Topology> topology,
                                                          Clock& clock, Random& random);
  // Lets others use it.
  ~DataFolder();
  DataFolder(const DataFolder&) = delete;
  DataFolder& operator=(const DataFolder&) = delete;

  const Topology& topology() const { return *topology_; }
  crypto::Kms& kms() const { return *kms_; }
  const crypto::CertificateAuthority& authority() const { return *authority_; }

  std::string coordination_path() const { return path_ + "/coordination"; }
  std::string coordination_key_path() const { return path_ + "/coordination.key"; }
  std::string node_path(const NodeId& node) const { return path_ + "/nodes/" + node; }
  std::string profile_path() const { return path_ + "/admin.profile"; }

  // HOST:PORT; empty at the first start.
  absl::StatusOr<std::string> ReadEndpoint() const;
  absl::Status WriteEndpoint(const std::string& endpoint) const;

 private:
  DataFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  absl::Status OpenTopology(std::optional<Topology> wanted);
  absl::Status OpenKms(Random& random);
  absl::Status OpenAuthority(Clock& clock);
  absl::Status MakeNodeFolders() const;

  const std::string path_;
  const int lock_;  // file descriptor
  std::optional<Topology> topology_;
  std::unique_ptr<crypto::Kms> kms_;
  std::unique_ptr<crypto::CertificateAuthority> authority_;
};

}  // namespace meridian::server
