// A partition of one replica without replication: commands are applied at once to state in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "base/id.h"
#include "base/random.h"
#include "storage/objects/child_rows.h"
#include "storage/objects/object_reader.h"
#include "storage/objects/object_state_machine.h"
#include "storage/objects/records.h"
#include "tests/fakes/memory_kv.h"

namespace meridian::objects {

class Partition {
 public:
  explicit Partition(Limits limits = {}) : limits_(limits), machine_(limits) {}

  // Applies a command as the next entry, with these chunks.
  pb::Outcome Apply(pb::Command command, std::vector<storage::ChunkRange> chunks = {});
  // The entry that Apply would make.
  storage::LogEntry NextEntry(pb::Command command, std::vector<storage::ChunkRange> chunks = {});
  pb::Outcome ApplyEntry(const storage::LogEntry& entry);

  // What time the next entries have.
  void Advance(absl::Duration duration) { now_us_ += absl::ToInt64Microseconds(duration); }
  int64_t now_us() const { return now_us_; }
  LogIndex last_index() const { return last_index_; }

  // A put of an object with one run of so many bytes; the body is a chunk range of the entry.
  pb::Command Put(std::string_view name, RunId run, uint64_t size_bytes = 1);
  pb::Outcome ApplyPut(std::string_view name, RunId run, uint64_t size_bytes = 1);
  pb::Outcome ApplyPut(std::string_view name) { return ApplyPut(name, RunId::Draw(random_)); }

  pb::Command Delete(std::string_view name);
  pb::Command DeleteVersion(std::string_view name, std::string version_id);
  // A copy of what the state holds as that version now.
  pb::Command Copy(std::string_view name, std::string source_version_id);

  pb::Command StartUpload(std::string_view name, UploadId upload, absl::Duration ttl);
  pb::Outcome TakeOver(UploadId upload, RunId run, uint64_t expected_size_bytes);
  pb::Outcome Append(UploadId upload, RunId run, uint64_t expected_size_bytes,
                     uint64_t run_bytes_before, uint64_t run_bytes_after);
  // Of what the state holds of the upload now.
  pb::Command Finish(UploadId upload);
  pb::Command AbortUpload(UploadId upload);
  pb::Command AbortRun(RunId run);
  pb::Command Maintain();

  pb::Command Split(std::string_view key, PartitionId child);
  pb::Command FinishSplit(PartitionId child);
  // The child's rows as this partition's state holds them; FAILED_PRECONDITION: it does not.
  absl::StatusOr<ChildRows::Rows> RowsOf(PartitionId child, size_t piece_bytes = 1 << 20) const;
  // Begins with these rows, as after the installation of a child's replica or a snapshot.
  void Install(const ChildRows::Rows& rows);
  // What another replica would get in a snapshot.
  ChildRows::Rows Snapshot() const;
  // Removes rows that have moved, so many looked at a time; whether there were any.
  bool CleanUp(size_t max_rows = 1000);

  // Marks the command as a client's request.
  void Stamp(pb::Command& command, RequestId request, std::string digest = "digest");

  // What the replica may free now, freed.
  std::vector<RunId> CollectGarbage(LogIndex up_to);

  std::unique_ptr<storage::KvReader> NewView() const { return kv_.NewView(); }
  std::optional<VersionRow> Newest(std::string_view name) const;
  std::optional<VersionRow> FindVersion(std::string_view name, const std::string& id) const;
  std::optional<pb::UploadRecord> FindUpload(UploadId upload) const;
  // Newest first.
  std::vector<std::string> VersionIdsOf(std::string_view name) const;
  bool KnowsRun(RunId run) const;
  bool IsReferenced(RunId run) const;
  std::string Digest() const;
  std::vector<storage::ChunkRange> Chunks() const;
  size_t CountRows(char tag) const;
  pb::PartitionMeta Meta() const;

  SeededRandom& random() { return random_; }
  bool keep_versions = false;

 private:
  pb::Command NewCommand() const;
  pb::VersionRecord RecordOf(const pb::Manifest& manifest);

  const Limits limits_;
  ObjectStateMachine machine_;
  storage::MemoryKv kv_;
  SeededRandom random_{7};
  LogIndex last_index_;
  int64_t now_us_ = 1'700'000'000'000'000;
};

// Equal parts in order; for messages of EXPECT.
std::string NameOf(pb::Outcome::Code code);

}  // namespace meridian::objects
