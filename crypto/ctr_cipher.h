// AES-256-CTR with random access: for files that something above authenticates.
#pragma once

#include <cstddef>
#include <cstdint>

#include "crypto/secret_key.h"

namespace meridian::crypto {

// Confidentiality only (P20). The key is one file's alone: the counter is the position, so the same
// position written twice with different bytes uses its key stream twice; RocksDB's files are
// written once. Thread-safe.
class CtrCipher {
 public:
  explicit CtrCipher(const SecretKey& file_key) : key_(file_key) {}
  // Encrypts or decrypts (the same) `data`, which lies at `offset` of the file, in place.
  void Apply(uint64_t offset, char* data, size_t size_bytes) const;

 private:
  const SecretKey key_;
};

}  // namespace meridian::crypto
