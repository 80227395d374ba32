// RocksDB and the in-memory twin behave alike.
#include "tests/storage/kv_conformance.h"

#include <cstring>

#include "storage/rocks/rocks_kv.h"
#include "tests/fakes/memory_kv.h"
#include "tests/storage/rocks/keystream_ciphers.h"
#include "tests/temp_folder.h"

namespace meridian::storage {
namespace {

class MemorySubject {
 public:
  void Apply(const KvBatch& batch) { kv_.Apply(batch); }
  std::unique_ptr<KvReader> NewView() { return kv_.NewView(); }

 private:
  MemoryKv kv_;
};

// The rows of one container among those of others.
class RocksSubject {
 public:
  RocksSubject() {
    RocksOptions options;
    options.folder = folder_.path();
    options.ciphers = &ciphers_;
    options.state_prefix_bytes = std::strlen(kPrefix);
    kv_ = *RocksKv::Open(options);
    RocksBatch others;
    others.Put(Family::kState, "container-1z", "other");
    others.Put(Family::kState, "container-3", "other");
    EXPECT_TRUE(kv_->Write(others).ok());
  }
  void Apply(const KvBatch& batch) {
    RocksBatch rows;
    rows.Append(Family::kState, kPrefix, batch);
    ASSERT_TRUE(kv_->Write(rows).ok());
    // Rows are read from tables as from memory.
    if (++applied_ % 16 == 0) {
      ASSERT_TRUE(kv_->Flush().ok());
    }
  }
  std::unique_ptr<KvReader> NewView() { return kv_->NewView(Family::kState, kPrefix); }

 private:
  static constexpr char kPrefix[] = "container-2";
  TempFolder folder_;
  KeystreamCiphers ciphers_;
  std::unique_ptr<RocksKv> kv_;
  int applied_ = 0;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, KvConformance, MemorySubject);
INSTANTIATE_TYPED_TEST_SUITE_P(Rocks, KvConformance, RocksSubject);

}  // namespace
}  // namespace meridian::storage
