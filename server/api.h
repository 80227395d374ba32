// All that the public services call, in one place: built once for a node, and once for the front of
// a development cluster.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/executor.h"
#include "base/id.h"
#include "base/random.h"
#include "coordination/coordination_store.h"
#include "crypto/cluster_key.h"
#include "crypto/key_hierarchy.h"
#include "crypto/kms.h"
#include "server/cluster_view.h"
#include "server/control/cluster_ops.h"
#include "server/control/container_ops.h"
#include "server/control/control_gate.h"
#include "server/control/tenant_ops.h"
#include "server/dev_control.h"
#include "server/object_gateway.h"
#include "server/peer_client.h"
#include "server/replica_host.h"
#include "server/tls_material.h"
#include "tenancy/access_keys.h"
#include "tenancy/authenticator.h"
#include "tenancy/authorizer.h"
#include "tenancy/catalog_changes.h"
#include "tenancy/catalog_store.h"
#include "tenancy/containers.h"
#include "tenancy/conversions.h"
#include "tenancy/cut_off_deletions.h"
#include "tenancy/deleted_tenants.h"
#include "tenancy/directory.h"
#include "tenancy/tenants.h"

namespace meridian::server {

// Of a process, shared by all its nodes; outlives them.
struct Platform {
  ClusterId cluster;
  Clock& clock;
  Random& random;  // thread-safe
  crypto::Kms& kms;
  const crypto::ClusterKey& cluster_key;
  coordination::CoordinationStore& coordination;
  DevControl* dev;  // null: not in dev mode
};

// What differs between a node and a front.
struct ApiPlace {
  NodeId self;
  TlsMaterial tls;
  ReplicaHost* host = nullptr;  // null: a front
  // Null: judged by connections of its own.
  std::function<bool(const NodeId&)> reachable;
  std::function<absl::Status(DiskId)> admit;
  ClusterView::NodesChanged nodes_changed;
};

// Thread-safe; the members are in the order of their dependence.
struct Api {
  Api(const Platform& platform, ApiPlace place);

  const std::unique_ptr<Executor> catalog_timer;
  const std::unique_ptr<Executor> catalog_worker;
  crypto::KeyHierarchy keys;
  tenancy::CatalogStore store;
  tenancy::CatalogChanges catalog_changes;
  tenancy::TenantCatalog tenants;
  tenancy::AccessKeyCatalog access_keys;
  tenancy::ContainerCatalog containers;
  tenancy::ConversionCatalog conversions;
  tenancy::DeletedTenants deleted_tenants;
  tenancy::CutOffDeletions cut_off_deletions;
  tenancy::Directory directory;
  tenancy::Authenticator authenticator;
  tenancy::Authorizer authorizer;
  ClusterView view;
  const std::unique_ptr<PeerClient> peers;
  ControlGate control_gate;
  TenantOps tenant_ops;
  ContainerOps container_ops;
  ClusterOps cluster_ops;
  ObjectGateway gateway;
};

}  // namespace meridian::server
