// Record sealers under a node's key.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "crypto/node_key.h"
#include "storage/record_sealer.h"

namespace meridian::storage {

// AES-256-GCM under a key for each life of a segment (P20). `key` outlives it. Thread-safe.
class NodeRecordSealers : public RecordSealerFactory {
 public:
  explicit NodeRecordSealers(const crypto::NodeKey& key) : key_(key) {}

  absl::StatusOr<std::unique_ptr<RecordSealer>> NewSealer(const DiskId& disk,
                                                          std::string_view salt) const override;

 private:
  const crypto::NodeKey& key_;
};

}  // namespace meridian::storage
