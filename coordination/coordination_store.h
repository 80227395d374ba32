// The small, strongly consistent store of topology, tenants, containers and group configurations.
// Modelled on etcd v3: revisions, transactions of compares and writes, watches, leases.
// Implementations: etcd, embedded (RocksDB) and in-memory; one conformance test holds all.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace meridian::coordination {

struct KeyValue {
  std::string key;
  std::string value;
  // The revision of the transaction that last wrote the key; > 0.
  int64_t mod_revision = 0;
};

struct Compare {
  std::string key;
  // 0: the key must be absent.
  int64_t mod_revision = 0;
};

struct Write {
  std::string key;
  // nullopt deletes.
  std::optional<std::string> value;
};

// Applied at once if every compare holds, else not at all. At most kMaxOps compares and writes.
struct Transaction {
  static constexpr size_t kMaxOps = 128;
  std::vector<Compare> compares = {};
  std::vector<Write> writes = {};
};

struct CommitResult {
  bool succeeded = false;
  int64_t revision = 0;
};

// Thread-safe. Callbacks run on a thread of the store's own choosing, never inside the call, and
// must not block: a strand's owner posts them to its executor. UNAVAILABLE: the store cannot be
// reached; for Commit the outcome is then unknown, and has to be read again (P1).
// RESOURCE_EXHAUSTED, of Commit only: there is no space, nothing was written.
class CoordinationStore {
 public:
  virtual ~CoordinationStore() = default;

  // Linearizable.
  virtual void Get(std::string key,
                   std::function<void(absl::StatusOr<std::optional<KeyValue>>)> done) = 0;
  // All keys with the prefix, in byte order, as of one revision.
  virtual void List(std::string prefix,
                    std::function<void(absl::StatusOr<std::vector<KeyValue>>)> done) = 0;
  virtual void Commit(Transaction transaction,
                      std::function<void(absl::StatusOr<CommitResult>)> done) = 0;

  // Calls `changed` some time after keys with the prefix may have changed: late, repeated or, after
  // a lost connection, in place of many. A hint only: read before acting. Ends when the handle
  // goes: after that `changed` is not running and will not run.
  class WatchHandle {
   public:
    virtual ~WatchHandle() = default;
  };
  virtual std::unique_ptr<WatchHandle> Watch(std::string prefix, std::function<void()> changed) = 0;

  // The key has the value while the handle lives: written once the store can be reached, written
  // again whenever the store has dropped it, removed after the handle has gone (which waits for
  // nothing), and at most `ttl` after this process has died or was cut off; a store that changes
  // its own leader meanwhile begins that time anew. Whole seconds, two at least; what is between is
  // rounded down. A hint for placement and display: nothing on the data path depends on it (I12).
  // Of two announcements of a key the later counts; no transaction writes it. The handle goes
  // before the store does.
  class Presence {
   public:
    virtual ~Presence() = default;
  };
  virtual std::unique_ptr<Presence> Announce(std::string key, std::string value,
                                             absl::Duration ttl) = 0;
};

}  // namespace meridian::coordination
