// A CoordinationStore on etcd v3: what clusters of several machines run on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordination/coordination_store.h"

namespace grpc::experimental {
class CertificateProviderInterface;
}  // namespace grpc::experimental

namespace meridian::coordination {

// PEM.
struct EtcdTls {
  std::string ca_certificate;
  // Presented to etcd; both empty: none.
  std::string certificate = {};
  std::string private_key = {};
  // What counts instead, at each handshake, where it may be renewed while the process runs; it has
  // a certificate if the above have. Null: the above.
  std::shared_ptr<grpc::experimental::CertificateProviderInterface> renewed = nullptr;
};

// Which store this is, and how far it had come (P11). 0: not known.
struct StoreIdentity {
  uint64_t cluster_id = 0;
  int64_t revision = 0;
};

struct EtcdOptions {
  // "HOST:PORT" of the members' client ports; of some is enough.
  std::vector<std::string> endpoints;
  // Without it only loopback endpoints are accepted (I9).
  std::optional<EtcdTls> tls = {};
  // Before every key, for example "/meridian/NAME/"; ends with '/'.
  std::string key_prefix;
  // A call is answered within it, whatever members do; a List within it for each page.
  absl::Duration call_timeout = absl::Seconds(5);
  // More are refused with UNAVAILABLE.
  size_t max_calls_in_flight = 1024;
  // What an earlier process saw: a store with another id, or behind that revision, is not trusted.
  StoreIdentity remembered = {};
  // Rows that a List asks for at once.
  int64_t page_rows = 256;
};

// Callbacks run on the store's own thread. Destroying the store drops those that have not run: its
// users go first; it waits a moment for announcements to be taken back.
//
// One member at a time serves all calls. A call that finds it dead goes to another one within its
// timeout, except a Commit that may have been received: that is UNAVAILABLE, its outcome unknown.
// Every answer is checked to be of one and the same etcd cluster, at a revision no lower than seen
// before (P11); others are UNAVAILABLE, never trusted: as long as etcd's data are of the past, or
// of another cluster, so is every call.
class EtcdStore : public CoordinationStore {
 public:
  // Of the answers so far. Thread-safe.
  virtual StoreIdentity seen() const = 0;
};

// Does not wait for etcd: calls answer UNAVAILABLE until it is reached. INVALID_ARGUMENT: the
// options are not usable.
absl::StatusOr<std::unique_ptr<EtcdStore>> OpenEtcdStore(EtcdOptions options);

}  // namespace meridian::coordination
