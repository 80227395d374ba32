// The disks of one node, each with a key of its own beside it. One that fails goes out of service
// alone: the node goes on with the others.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "base/id.h"
#include "crypto/kms.h"
#include "server/node_service.h"
#include "storage/disk_store.h"
#include "storage/posix_disk.h"

namespace meridian::server {

// Where a disk's things are.
struct DiskFolder {
  // The key that the disk's files are under, wrapped by the KMS; made if it is not there. In a
  // folder that exists.
  std::string key_file;
  // Made if it is not there; its parent exists.
  std::string store;
};

// Thread-safe once it is open. The destructor flushes nothing.
class NodeDisks {
 public:
  struct Options {
    // In any order; at least one.
    std::vector<DiskFolder> folders;
    // Of each disk: cluster, node, strand, clock, random, sizes and RocksDB's environment and
    // memory. What a disk has of its own is set here.
    storage::DiskStoreOptions store;
    std::function<absl::StatusOr<std::unique_ptr<storage::Disk>>(std::string root)> open_disk;
    // A disk went out of service. On a thread of its store's; must not block.
    std::function<void()> on_out_of_service;
  };

  // FAILED_PRECONDITION: a folder belongs to another cluster, node or version, is in use, or is a
  // copy of another one or of the past: none is opened then, since that is a mistake and no damage.
  // UNAVAILABLE and RESOURCE_EXHAUSTED of `kms` and of store.record_opening too fail all: they say
  // nothing about a disk. Any other disk that cannot be opened is left out, and reported by
  // Describe; an error only if no disk is left. `kms` is not used after.
  static absl::StatusOr<std::unique_ptr<NodeDisks>> Open(Options options, crypto::Kms& kms);
  ~NodeDisks();

  // Of those that were opened.
  std::vector<storage::DiskStore*> stores() const;
  // Of those that are in service: what replicas can be placed on.
  std::vector<DiskId> InService() const;
  // All of the configuration.
  std::vector<ServedDisk> Describe() const;
  // NOT_FOUND: no such disk here.
  absl::Status AdmitNewData(DiskId disk) const;

  // DiskStore::RecordOpening of every disk that is in service. UNAVAILABLE: the store that records
  // them does not answer; not all were asked.
  absl::Status RecordOpenings();

  // DiskStore::BeginStop of every disk.
  void BeginStop();

  // A checkpoint of every disk that is in service, all at once; waits until `deadline`, and logs of
  // those that have none. What is not done by then goes on until the destructor.
  void Checkpoint(absl::Time deadline);

 private:
  class OpenedDisk;
  struct Slot {
    DiskFolder folder;
    std::unique_ptr<OpenedDisk> disk;  // null: see problem
    absl::Status problem;
  };

  explicit NodeDisks(NodeId node);
  // One after the other: fill slots_. Errors as of Open.
  absl::Status OpenKeys(const Options& options, crypto::Kms& kms);
  absl::Status OpenStores(const Options& options);

  const NodeId node_;
  std::vector<Slot> slots_;
  // Of Checkpoint; they use the disks.
  std::vector<std::unique_ptr<Executor>> checkpointers_;
};

}  // namespace meridian::server
