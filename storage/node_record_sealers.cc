#include "storage/node_record_sealers.h"

#include "crypto/segment_sealer.h"

namespace meridian::storage {
namespace {

using crypto::SegmentSealer;

static_assert(kSegmentSaltBytes == SegmentSealer::kSaltBytes);
static_assert(RecordSealer::kTagBytes == SegmentSealer::kOverheadBytes);

class AesGcmRecords final : public RecordSealer {
 public:
  explicit AesGcmRecords(const crypto::SecretKey& key) : sealer_(key) {}

  void Seal(uint64_t sequence, std::string_view aad, std::span<const std::string_view> plaintext,
            char* out) override {
    sealer_.Seal(sequence, aad, plaintext, out);
  }
  absl::Status Open(uint64_t sequence, std::string_view aad, std::string_view sealed,
                    char* out) const override {
    return sealer_.Open(sequence, aad, sealed, out);
  }

 private:
  const SegmentSealer sealer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RecordSealer>> NodeRecordSealers::NewSealer(
    const DiskId& disk, std::string_view salt) const {
  return std::make_unique<AesGcmRecords>(key_.SegmentKey(disk, salt));
}

}  // namespace meridian::storage
