// What the conformance suites of ReplicaStorage share: replica_log_conformance.h,
// replica_state_conformance.h, replica_chunk_conformance.h. Instantiate each with a Subject,
// default constructible:
//
//   struct Subject {
//     ReplicaStorage& storage();  // the calling thread is its strand
//     // Runs the strand's tasks and lets the disk work until `done()`.
//     void RunUntil(const std::function<bool()>& done);
//     // Destroys the storage without a flush, loses what a power failure may lose, opens it again.
//     void Crash();
//     // TrimTo(index), and makes it durable.
//     void TrimLog(LogIndex index);
//     void Corrupt(ChunkId chunk);  // flips a stored bit of a chunk written by WriteChunk
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Memory, ReplicaLogConformance, Subject);
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/replica_storage.h"

namespace meridian::storage {

template <typename Subject>
class ReplicaStorageFixture : public testing::Test {
 protected:
  ReplicaStorage& storage() { return subject_.storage(); }
  Subject& subject() { return subject_; }

  static LogEntry Entry(uint64_t epoch, uint64_t index, std::string command = "command") {
    LogEntry entry;
    entry.epoch = Epoch(epoch);
    entry.index = LogIndex(index);
    entry.timestamp = Timestamp(1000 + index);
    entry.command = std::move(command);
    return entry;
  }

  RunId DrawRun() { return RunId::Draw(random_); }

  // Waits for a write that `start` begins.
  absl::Status Await(const std::function<void(ReplicaStorage::Done)>& start) {
    std::optional<absl::Status> answer;
    start([&answer](absl::Status status) { answer = std::move(status); });
    subject_.RunUntil([&answer] { return answer.has_value(); });
    return *answer;
  }
  absl::Status Persist(PersistRequest request) {
    return Await(
        [&](ReplicaStorage::Done done) { storage().Persist(std::move(request), std::move(done)); });
  }
  absl::Status WriteChunk(ChunkId chunk, const std::string& bytes) {
    return Await([&](ReplicaStorage::Done done) {
      storage().WriteChunk(chunk, Buffer::FromString(bytes), Crc32c(bytes), std::move(done));
    });
  }
  absl::Status RepairChunk(ChunkId chunk, const std::string& bytes) {
    return Await([&](ReplicaStorage::Done done) {
      storage().RepairChunk(chunk, Buffer::FromString(bytes), Crc32c(bytes), std::move(done));
    });
  }
  absl::Status PlaceLost(ChunkId chunk) {
    return Await([&](ReplicaStorage::Done done) { storage().PlaceLost(chunk, std::move(done)); });
  }
  absl::Status BeginInstall() {
    return Await([&](ReplicaStorage::Done done) { storage().BeginInstall(std::move(done)); });
  }
  absl::Status FinishInstall(uint64_t index, uint64_t epoch) {
    return Await([&](ReplicaStorage::Done done) {
      storage().FinishInstall(LogIndex(index), Epoch(epoch), Timestamp(1000 + index),
                              std::move(done));
    });
  }

  // Persists entries [first, last] of one epoch.
  void Append(uint64_t epoch, uint64_t first, uint64_t last) {
    PersistRequest request;
    for (uint64_t index = first; index <= last; ++index) {
      request.entries.push_back(Entry(epoch, index));
    }
    ASSERT_TRUE(Persist(std::move(request)).ok());
  }
  // Each entry's effect: row "applied" holds its index.
  void ApplyUpTo(uint64_t first, uint64_t last) {
    for (uint64_t index = first; index <= last; ++index) {
      KvBatch batch;
      batch.Put("applied", absl::StrCat(index));
      ASSERT_TRUE(storage().Apply(batch, LogIndex(index), Timestamp(1000 + index)).ok());
    }
  }
  std::optional<std::string> Row(std::string_view key) {
    auto value = storage().NewView()->Get(key);
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() ? *value : std::nullopt;
  }
  std::vector<LogEntry> Log(uint64_t first, uint64_t last, size_t max_bytes = 1 << 20) {
    auto entries = storage().ReadLog(LogIndex(first), LogIndex(last), max_bytes);
    EXPECT_TRUE(entries.ok()) << entries.status();
    return entries.ok() ? *std::move(entries) : std::vector<LogEntry>();
  }
  std::vector<uint64_t> RecoveredEpochs() {
    std::vector<uint64_t> epochs;
    for (const Epoch epoch : storage().recovered().epochs) epochs.push_back(epoch.value());
    return epochs;
  }

 private:
  SeededRandom random_{1};
  Subject subject_;
};

}  // namespace meridian::storage
