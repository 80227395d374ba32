// File ciphers under a node's key.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/random.h"
#include "crypto/node_key.h"
#include "storage/rocks/file_cipher.h"

namespace meridian::storage {

// AES-256-CTR under a random key a file, wrapped by the node key. `key` and `random` outlive it.
// Thread-safe.
class NodeFileCiphers : public FileCipherFactory {
 public:
  NodeFileCiphers(const crypto::NodeKey& key, Random& random) : key_(key), random_(random) {}

  absl::StatusOr<std::string> NewWrappedKey() override;
  absl::StatusOr<std::unique_ptr<FileCipher>> Open(std::string_view wrapped_key) override;

 private:
  const crypto::NodeKey& key_;
  Random& random_;
};

}  // namespace meridian::storage
