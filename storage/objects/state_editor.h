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
    const auto it = changes_.find(key);
    if (it != changes_.end()) return it->second;
    return base_.Get(key);
  }
  void Put(std::string key, std::string value) {
    changes_.insert_or_assign(std::move(key), std::move(value));
  }
  void Delete(std::string key) { changes_.insert_or_assign(std::move(key), std::nullopt); }

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
    for (auto& [key, value] : changes_) {
      if (value.has_value()) {
        batch.Put(key, *std::move(value));
      } else {
        batch.Delete(key);
      }
    }
    changes_.clear();
  }

 private:
  const storage::KvReader& base_;
  // nullopt: deleted.
  std::map<std::string, std::optional<std::string>> changes_;
};

}  // namespace meridian::objects
