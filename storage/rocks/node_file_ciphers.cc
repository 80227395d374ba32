#include "storage/rocks/node_file_ciphers.h"

#include "base/status.h"
#include "crypto/ctr_cipher.h"

namespace meridian::storage {
namespace {

class AesCtrFile : public FileCipher {
 public:
  explicit AesCtrFile(const crypto::SecretKey& key) : cipher_(key) {}
  absl::Status Apply(uint64_t offset, char* data, size_t size_bytes) override {
    cipher_.Apply(offset, data, size_bytes);
    return absl::OkStatus();
  }

 private:
  const crypto::CtrCipher cipher_;
};

}  // namespace

absl::StatusOr<std::string> NodeFileCiphers::NewWrappedKey() {
  return key_.WrapFileKey(crypto::SecretKey::Draw(random_), random_);
}

absl::StatusOr<std::unique_ptr<FileCipher>> NodeFileCiphers::Open(std::string_view wrapped_key) {
  ASSIGN_OR_RETURN(const crypto::SecretKey key, key_.UnwrapFileKey(wrapped_key));
  return std::make_unique<AesCtrFile>(key);
}

}  // namespace meridian::storage
