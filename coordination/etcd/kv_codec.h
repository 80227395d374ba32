// The store's terms in etcd's messages.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "coordination/coordination_store.h"
#include "etcd/rpc.pb.h"

namespace meridian::coordination {

etcdserverpb::TxnRequest ToTxn(const std::string& key_prefix, const Transaction& transaction);

// DATA_LOSS: not a row under `key_prefix`.
absl::StatusOr<KeyValue> FromKeyValue(const std::string& key_prefix,
                                      const etcdserverpb::KeyValue& row);

}  // namespace meridian::coordination
