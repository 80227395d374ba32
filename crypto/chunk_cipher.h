// Encryption of object bodies: a run's chunks, each in frames that can be decrypted alone.
//
// A run (one streaming attempt) has a key of its own, PRK = HKDF-SHA-512-Extract(DEK, run salt). A
// chunk's key and nonce prefix are Expand(PRK, {suite, tenant, container, run, chunk number}), so a
// resumed upload never uses a key and nonce twice. Inside a chunk, frames of 64 KiB are AES-256-GCM
// in the STREAM form (Hoang, Reyhanitabar, Rogaway, Vizar 2015): nonce = prefix(7) | frame
// number(4) | last(1). GCM does not commit to its key, so a run's manifest entry carries
// Expand(PRK, "commitment" ...): a reader with another DEK or salt is refused before it decrypts.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "base/id.h"
#include "crypto/chunk_layout.h"
#include "crypto/hkdf.h"
#include "crypto/secret_key.h"

namespace meridian {
class Random;
}

namespace meridian::crypto {

// Stored in manifests: never renumber.
enum class Suite : uint8_t {
  kAes256GcmStream = 1,  // as above, with HKDF-SHA-512
};

// What a run's chunks are bound to, for as long as they live (P19).
struct RunIdentity {
  TenantId tenant;
  ContainerId container;
  ObjectId object;
  RunId run;
  bool operator==(const RunIdentity&) const = default;
};

// What a manifest says of a run so that its chunks can be read. Not secret.
struct RunHeader {
  static constexpr size_t kSaltBytes = 32;
  static constexpr size_t kCommitmentBytes = 32;
  Suite suite = Suite::kAes256GcmStream;
  std::string salt;
  std::string commitment;
  bool operator==(const RunHeader&) const = default;
};

// Encrypts and decrypts the chunks of one run. Thread-safe: chunks may be worked on in parallel.
class RunCipher {
 public:
  // For a new run: draws the salt.
  static std::unique_ptr<RunCipher> Create(const SecretKey& dek, const RunIdentity& identity,
                                           Random& random);
  // For reading. DATA_LOSS if the DEK, the identity or the header is not the one that made the
  // commitment; UNIMPLEMENTED: a suite that this version does not know.
  static absl::StatusOr<std::unique_ptr<RunCipher>> Open(const SecretKey& dek,
                                                         const RunIdentity& identity,
                                                         const RunHeader& header);

  const RunHeader& header() const { return header_; }

  // The ciphertext of chunk `number`: CiphertextBytes(plaintext size) bytes. A chunk's number is
  // encrypted once in a run: two plaintexts under one number would share key and nonces.
  // INVALID_ARGUMENT: more than kChunkBytes.
  absl::StatusOr<Buffer> EncryptChunk(uint32_t number, std::string_view plaintext) const;
  // Of a plaintext in pieces, joined: a message's slices need not be copied together first.
  absl::StatusOr<Buffer> EncryptChunk(uint32_t number,
                                      std::span<const std::string_view> plaintext) const;

  // Decrypts the frames of `range` (MapRange) from their ciphertext and returns the range's bytes.
  // DATA_LOSS if a bit of them differs from what was encrypted, or they are of another chunk,
  // place, run, object or container, or the chunk is not `chunk_plaintext_bytes` long: nothing is
  // returned that was not authenticated (I1, I10).
  absl::StatusOr<Buffer> DecryptRange(uint32_t number, uint32_t chunk_plaintext_bytes,
                                      const FrameRange& range, std::string_view ciphertext) const;
  // The whole chunk.
  absl::StatusOr<Buffer> DecryptChunk(uint32_t number, std::string_view ciphertext) const;

 private:
  struct ChunkKey;
  RunCipher(const SecretKey& dek, const RunIdentity& identity, RunHeader header);

  std::string Info(std::string_view purpose) const;
  std::string Commitment() const;
  ChunkKey DeriveChunkKey(uint32_t number) const;

  const RunIdentity identity_;
  const Hkdf hkdf_;
  RunHeader header_;
};

}  // namespace meridian::crypto
