// Gives a container of a development cluster several partitions, as its catalog may say whatever
// made them: an empty one, since nothing is moved.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/random.h"
#include "base/status.h"
#include "coordination/coordination_store.h"
#include "crypto/cluster_key.h"
#include "crypto/local_keyring.h"
#include "replication/replica.h"
#include "server/cluster_records.h"
#include "tenancy/bootstrap.h"
#include "tenancy/catalog_store.h"
#include "tenancy/records.h"
#include "tests/coordination/blocking_store.h"

namespace meridian {

// What of a cluster the catalog is written with; all outlive the call.
struct ClusterCatalog {
  coordination::CoordinationStore& store;
  std::string data_folder;
  Clock& clock;
  Random& random;
};

// `uid`: of the container, in hex, which has one partition. Each of `begins` is the first name of
// another one, led and kept by the nodes of the first.
inline absl::Status Divide(const ClusterCatalog& cluster, const std::string& uid,
                           const std::vector<std::string>& begins) {
  ASSIGN_OR_RETURN(const std::string passphrase,
                   crypto::PassphraseFromFile(cluster.data_folder + "/keyring.passphrase"));
  ASSIGN_OR_RETURN(const auto kms, crypto::LocalKeyring::Open(cluster.data_folder + "/keyring",
                                                              passphrase, cluster.random));
  ASSIGN_OR_RETURN(const tenancy::Cluster opened, tenancy::OpenCluster(cluster.store, *kms));
  const crypto::ClusterKey key(opened.key);
  tenancy::CatalogStore catalog(cluster.store, key, cluster.random, cluster.clock);

  ASSIGN_OR_RETURN(const auto rows,
                   coordination::BlockingList(cluster.store, server::kPartitionKeyPrefix));
  for (const coordination::KeyValue& row : rows) {
    ASSIGN_OR_RETURN(const server::PartitionRecord partition,
                     server::DecodePartitionRecord(row.value));
    if (partition.container.ToHex() != uid) continue;
    ASSIGN_OR_RETURN(const auto stored,
                     catalog.Get(tenancy::ContainerKey(partition.tenant, partition.container)));
    if (!stored) return absl::NotFoundError("the container has no record");
    ASSIGN_OR_RETURN(tenancy::ContainerRecord record,
                     tenancy::DecodeContainerRecord(stored->value));
    ASSIGN_OR_RETURN(const auto group,
                     coordination::BlockingGet(cluster.store, replication::GroupConfigKey(
                                                                  record.partitions[0].partition)));
    ASSIGN_OR_RETURN(const replication::GroupConfig first,
                     replication::DecodeGroupConfig(group->value));
    coordination::Transaction transaction{{tenancy::CatalogStore::Unchanged(*stored)}, {}};
    for (const std::string& begin : begins) {
      const auto id = PartitionId::Draw(cluster.random);
      replication::GroupConfig config;
      config.epoch = Epoch(1);
      for (const replication::Member& member : first.members) {
        config.members.push_back({ReplicaId::Draw(cluster.random), member.node, member.disk});
      }
      transaction.writes.push_back(
          {replication::GroupConfigKey(id), replication::EncodeGroupConfig(config)});
      transaction.writes.push_back({server::PartitionKeyOf(id), row.value});
      record.partitions.back().end = begin;
      record.partitions.push_back({id, begin, ""});
    }
    ++record.partition_generation;
    transaction.writes.push_back(catalog.Put(stored->key, tenancy::Encode(record)));
    ASSIGN_OR_RETURN(const bool committed,
                     catalog.Commit(partition.tenant, std::move(transaction)));
    return committed ? absl::OkStatus() : absl::AbortedError("the container has changed");
  }
  return absl::NotFoundError("no such container");
}

}  // namespace meridian
