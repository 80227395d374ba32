// DiskStore's replicas pass the suite that the simulation's storage passes.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/storage/replica_chunk_conformance.h"
#include "tests/storage/replica_log_conformance.h"
#include "tests/storage/replica_sibling_conformance.h"
#include "tests/storage/replica_state_conformance.h"
#include "tests/storage/store/disk_store_harness.h"

namespace meridian::storage {
namespace {

class DiskSubject {
 public:
  DiskSubject() { harness_.Open(); }

  ReplicaStorage& storage() { return harness_.storage(); }
  void RunUntil(const std::function<bool()>& done) { harness_.strand().RunUntil(done); }
  void Crash() {
    sibling_.reset();
    harness_.Crash();
  }
  void MakeSibling(bool installing) {
    sibling_id_ = harness_.replica();
    sibling_id_.replica = ReplicaId::Draw(harness_.random());
    sibling_id_.partition = PartitionId::Draw(harness_.random());
    const absl::Status made = harness_.store().CreateReplica(sibling_id_, installing);
    ASSERT_TRUE(made.ok()) << made;
  }
  void OpenSibling() { sibling_ = harness_.store().OpenReplica(sibling_id_.replica).value(); }
  void CloseSibling() { sibling_.reset(); }
  ReplicaStorage& sibling() { return *sibling_; }
  absl::Status RemoveSibling(const StateMachine& state_machine) {
    return harness_.store().RemoveReplica(sibling_id_.replica, state_machine);
  }
  void TrimLog(LogIndex index) {
    ASSERT_TRUE(harness_.storage().TrimTo(index).ok());
    harness_.RollSegment();
    const absl::Status status = harness_.store().Checkpoint();
    ASSERT_TRUE(status.ok()) << status;
  }
  // Extents hold the ciphertext as it was given: it is found by its bytes.
  void Corrupt(ChunkId chunk) {
    const auto info = storage().StatChunk(chunk);
    ASSERT_TRUE(info.ok() && info->has_value());
    const auto bytes = storage().ReadChunk(chunk, 0, (*info)->size_bytes);
    ASSERT_TRUE(bytes.ok());
    const std::string wanted(bytes->view());
    for (const auto& file : std::filesystem::directory_iterator(harness_.path() + "/extents")) {
      std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
      const std::string content{std::istreambuf_iterator<char>(stream), {}};
      const size_t at = content.find(wanted);
      if (at == std::string::npos) continue;
      stream.clear();
      stream.seekp(static_cast<std::streamoff>(at));
      stream.put(static_cast<char>(content[at] ^ 1));
      return;
    }
    FAIL() << "the chunk's bytes are in no extent";
  }

 private:
  DiskStoreHarness harness_;
  ReplicaOnDisk sibling_id_;
  std::unique_ptr<ReplicaStorage> sibling_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Disk, ReplicaLogConformance, DiskSubject);
INSTANTIATE_TYPED_TEST_SUITE_P(Disk, ReplicaStateConformance, DiskSubject);
INSTANTIATE_TYPED_TEST_SUITE_P(Disk, ReplicaChunkConformance, DiskSubject);
INSTANTIATE_TYPED_TEST_SUITE_P(Disk, ReplicaSiblingConformance, DiskSubject);

}  // namespace
}  // namespace meridian::storage
