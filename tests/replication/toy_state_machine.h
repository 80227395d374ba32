// A state machine whose commands are words: "put KEY VALUE", "ref RUN CHUNKS", "drop RUN", "abort
// RUN" (runs in hex). Its outcome is "ok", or "refused" for a reference to an aborted run.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "base/status.h"
#include "storage/state_machine.h"

namespace meridian::replication {

class ToyStateMachine : public storage::StateMachine {
 public:
  absl::StatusOr<std::string> Apply(const storage::LogEntry& entry, const storage::KvReader& state,
                                    storage::KvBatch& batch) const override {
    std::istringstream words(entry.command);
    std::string verb, a, b;
    words >> verb >> a >> b;
    if (verb == "put") {
      batch.Put("k" + a, b);
    } else if (verb == "ref") {
      ASSIGN_OR_RETURN(auto aborted, state.Get("x" + a));
      if (aborted) return "refused";
      batch.Put("r" + a, b);
    } else if (verb == "drop" || verb == "abort") {
      batch.Delete("r" + a);
      if (verb == "abort") batch.Put("x" + a, "");
      std::string index = std::to_string(entry.index.value());
      batch.Put("g" + std::string(12 - index.size(), '0') + index + a, "");
    } else {
      return absl::InternalError("an unknown command: " + entry.command);
    }
    return "ok";
  }

  absl::Status VisitChunks(
      const storage::KvReader& state,
      const std::function<absl::Status(const storage::ChunkRange&)>& visit) const override {
    for (const auto& [key, value] : Rows(state, "r", "s")) {
      storage::ChunkRange range;
      range.run = *RunId::FromHex(key.substr(1));
      range.count = static_cast<uint32_t>(std::stoul(value));
      RETURN_IF_ERROR(visit(range));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<Garbage>> CollectGarbage(
      const storage::KvReader& state, LogIndex up_to, size_t max_runs,
      const std::function<bool(RunId)>& held) const override {
    std::vector<Garbage> garbage;
    for (const auto& [key, value] : Rows(state, "g", "h")) {
      RunId run = *RunId::FromHex(key.substr(13));
      bool later = std::stoull(key.substr(1, 12)) > up_to.value();
      if (later || garbage.size() == max_runs || held(run)) continue;
      Garbage found;
      found.run = run;
      found.forget.Delete(key);
      garbage.push_back(std::move(found));
    }
    return garbage;
  }

  absl::StatusOr<bool> KnowsRun(const storage::KvReader& state, RunId run) const override {
    ASSIGN_OR_RETURN(auto referenced, state.Get("r" + run.ToHex()));
    ASSIGN_OR_RETURN(auto aborted, state.Get("x" + run.ToHex()));
    if (referenced.has_value() || aborted.has_value()) return true;
    for (const auto& [key, value] : Rows(state, "g", "h")) {
      if (key.substr(13) == run.ToHex()) return true;
    }
    return false;
  }

  absl::StatusOr<std::string> DigestRange(const storage::KvReader& state, std::string_view first,
                                          std::string_view end) const override {
    std::string digest;
    for (const auto& [key, value] : Rows(state, std::string(first), std::string(end))) {
      if (key[0] != 'g') digest += key + "=" + value + ";";
    }
    return digest;
  }

  absl::StatusOr<RowFilter> SnapshotRows(const storage::KvReader&) const override {
    return RowFilter([](std::string_view, std::string_view) { return true; });
  }

  absl::StatusOr<std::optional<storage::KvBatch>> CleanUp(const storage::KvReader&,
                                                          size_t) const override {
    return std::nullopt;
  }

 private:
  static std::vector<std::pair<std::string, std::string>> Rows(const storage::KvReader& state,
                                                               const std::string& lower,
                                                               const std::string& upper) {
    std::vector<std::pair<std::string, std::string>> rows;
    auto it = state.NewIterator(lower, upper);
    for (it->Seek(lower); it->Valid(); it->Next()) {
      rows.emplace_back(std::string(it->key()), std::string(it->value()));
    }
    return rows;
  }
};

}  // namespace meridian::replication
