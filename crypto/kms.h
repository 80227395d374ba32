// Where the roots of the key hierarchy live: keys that never leave the provider, used to wrap
// others.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "crypto/secret_key.h"

namespace meridian::crypto {

// Names are 1-128 characters of [a-z0-9/-]: "cluster", "node", "tenant/<tenant id hex>".
// Errors: UNAVAILABLE: the provider cannot be reached, try again; NOT_FOUND: no such key, or it was
// destroyed (I11). Thread-safe. Calls may block: never on a strand.
class Kms {
 public:
  virtual ~Kms() = default;

  // Makes the key durable before it returns. ALREADY_EXISTS: there is one; it is not changed. A
  // destroyed key's name is never used again: FAILED_PRECONDITION.
  virtual absl::Status CreateKey(std::string_view name) = 0;

  // Wraps `key` under the named one. `context` says what the key is for (kind and ids): it is
  // bound, and Unwrap must be given the same.
  virtual absl::StatusOr<std::string> Wrap(std::string_view name, std::string_view context,
                                           const SecretKey& key) = 0;
  // DATA_LOSS if `wrapped` was not made by Wrap under this name and context.
  virtual absl::StatusOr<SecretKey> Unwrap(std::string_view name, std::string_view context,
                                           std::string_view wrapped) = 0;

  // Destroys a key for good: what it wrapped can never be unwrapped again. OK if it was destroyed
  // before. UNIMPLEMENTED: the provider cannot destroy (P22).
  virtual absl::Status DestroyKey(std::string_view name) = 0;
};

}  // namespace meridian::crypto
