#include "coordination/etcd/kv_codec.h"

#include "absl/strings/str_cat.h"

namespace meridian::coordination {
namespace {

// etcd answers a transaction without any operation from the asked member's own state, however old:
// a linearizable read in it, of no matter what, makes it current.
void MakeLinearizable(const std::string& key, etcdserverpb::TxnRequest& txn) {
  for (etcdserverpb::RequestOp* op : {txn.add_success(), txn.add_failure()}) {
    op->mutable_request_range()->set_key(key);
    op->mutable_request_range()->set_count_only(true);
  }
}

}  // namespace

etcdserverpb::TxnRequest ToTxn(const std::string& key_prefix, const Transaction& transaction) {
  etcdserverpb::TxnRequest txn;
  for (const Compare& compare : transaction.compares) {
    etcdserverpb::Compare& added = *txn.add_compare();
    added.set_result(etcdserverpb::Compare::EQUAL);
    added.set_target(etcdserverpb::Compare::MOD);  // of an absent key: 0
    added.set_key(key_prefix + compare.key);
    added.set_mod_revision(compare.mod_revision);
  }
  for (const Write& write : transaction.writes) {
    etcdserverpb::RequestOp& added = *txn.add_success();
    if (write.value.has_value()) {
      added.mutable_request_put()->set_key(key_prefix + write.key);
      added.mutable_request_put()->set_value(*write.value);
    } else {
      added.mutable_request_delete_range()->set_key(key_prefix + write.key);
    }
  }
  if (transaction.writes.empty()) MakeLinearizable(key_prefix, txn);
  return txn;
}

absl::StatusOr<KeyValue> FromKeyValue(const std::string& key_prefix,
                                      const etcdserverpb::KeyValue& row) {
  if (!row.key().starts_with(key_prefix) || row.mod_revision() <= 0) {
    return absl::DataLossError("etcd answered with a row that was not asked for");
  }
  return KeyValue{.key = row.key().substr(key_prefix.size()),
                  .value = row.value(),
                  .mod_revision = row.mod_revision()};
}

}  // namespace meridian::coordination
