// The state as one command sees it while it is applied: the view below, with the command's own
// changes over it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "base/status.h"
#include "storage/kv.h"
#include "storage/objects/records.h"

namespace meridian::objects {

// Not thread-safe. Iteration sees the view below only: a command iterates over rows before it
// changes rows of that kind.
class StateEditor {
 public:
  explicit StateEditor(const storage::KvReader& base) : base_(base) {}

  const storage::KvReader& base() const { return base_; }

  absl::StatusOr<std::optional<std::string>> Get(const std::string& key) const {
    const auto it = rows_.find(key);
    if (it != rows_.end()) return it->second.value;
    ASSIGN_OR_RETURN(std::optional<std::string> value, base_.Get(key));
    rows_.emplace(key, Row{.value = value, .changed = false});
    return value;
  }
  void Put(std::string key, std::string value) {
    rows_.insert_or_assign(std::move(key), Row{.value = std::move(value), .changed = true});
  }
  void Delete(std::string key) {
    rows_.insert_or_assign(std::move(key), Row{.value = std::nullopt, .changed = true});
  }

  // A record with a format version.
  template <typename Record>
  absl::StatusOr<std::optional<Record>> GetRecord(const std::string& key) const {
    ASSIGN_OR_RETURN(const std::optional<std::string> value, Get(key));
    if (!value.has_value()) return std::optional<Record>();
    ASSIGN_OR_RETURN(Record record, DecodeRecord<Record>(*value));
    return std::optional<Record>(std::move(record));
  }

  // Adds the changes, in the order of their keys; the editor is empty after.
  void MoveTo(storage::KvBatch& batch) {
    for (auto& [key, row] : rows_) {
      if (!row.changed) continue;
      if (row.value.has_value()) {
        batch.Put(key, *std::move(row.value));
      } else {
        batch.Delete(key);
      }
    }
    rows_.clear();
  }

 private:
  struct Row {
    // nullopt: there is none.
    std::optional<std::string> value;
    bool changed = false;
  };

  const storage::KvReader& base_;
  // What was read or changed: a command looks at some rows more than once.
  mutable std::map<std::string, Row> rows_;
};

}  // namespace meridian::objects
