// A state machine for tests of storage, which needs one only to learn what a state references.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/state_machine.h"

namespace meridian::storage {

// Its state references the runs that are its keys.
class RunsAreKeys final : public StateMachine {
 public:
  absl::StatusOr<std::string> Apply(const LogEntry&, const KvReader&, KvBatch&) const override {
    return absl::UnimplementedError("no command has an effect");
  }
  absl::Status VisitChunks(
      const KvReader& state,
      const std::function<absl::Status(const ChunkRange&)>& visit) const override {
    const auto row = state.NewIterator("", "\xff");
    for (row->Seek(""); row->Valid(); row->Next()) {
      const std::optional<RunId> run = RunId::FromHex(row->key());
      if (!run) continue;
      const absl::Status visited = visit({.run = *run, .first = 0, .count = 1});
      if (!visited.ok()) return visited;
    }
    return row->status();
  }
  absl::StatusOr<std::vector<Garbage>> CollectGarbage(
      const KvReader&, LogIndex, size_t, const std::function<bool(RunId)>&) const override {
    return std::vector<Garbage>();
  }
  absl::StatusOr<bool> KnowsRun(const KvReader& state, RunId run) const override {
    const auto row = state.Get(run.ToHex());
    if (!row.ok()) return row.status();
    return row->has_value();
  }
  absl::StatusOr<std::string> DigestRange(const KvReader&, std::string_view,
                                          std::string_view) const override {
    return std::string();
  }
  absl::StatusOr<RowFilter> SnapshotRows(const KvReader&) const override {
    return RowFilter([](std::string_view, std::string_view) { return true; });
  }
  absl::StatusOr<std::optional<KvBatch>> CleanUp(const KvReader&, size_t) const override {
    return std::optional<KvBatch>();
  }
};

}  // namespace meridian::storage
