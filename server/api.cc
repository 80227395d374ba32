#include "server/api.h"

#include <utility>

namespace meridian::server {
namespace {

std::function<bool(const NodeId&)> ReachableBy(std::function<bool(const NodeId&)> given,
                                               PeerClient& peers) {
  if (given) return given;
  return [&peers](const NodeId& node) { return peers.Reachable(node); };
}

}  // namespace

Api::Api(const Platform& platform, ApiPlace place)
    : catalog_timer(MakeThreadExecutor("catalog")),
      catalog_worker(MakeThreadExecutor("catalog-work")),
      keys(platform.kms, platform.clock, platform.random, {}),
      store(platform.coordination, platform.cluster_key, platform.random, platform.clock),
      catalog_changes(store, *catalog_timer),
      tenants(store, keys),
      access_keys(store, tenants),
      containers(store, tenants, keys),
      conversions(store, containers),
      deleted_tenants(store, keys, catalog_changes, *catalog_worker),
      cut_off_deletions(store, containers, *catalog_worker),
      directory(store, keys, catalog_changes, {}),
      authenticator(store, catalog_changes, {}),
      authorizer(tenants, directory),
      view(platform.coordination, std::move(place.nodes_changed)),
      peers(MakePeerClient(view, std::move(place.tls))),
      tenant_ops(tenants, access_keys, authorizer),
      container_ops({view, *peers, store, containers, conversions, authorizer}),
      cluster_ops({platform.cluster, view, *peers, store, tenants, containers, directory,
                   authorizer, platform.dev, /*takes_faults=*/place.host == nullptr}),
      gateway({place.self, place.host, view, authorizer, directory, platform.random,
               ReachableBy(std::move(place.reachable), *peers), std::move(place.admit)}) {}

}  // namespace meridian::server
