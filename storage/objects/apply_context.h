// What the parts of Apply share while one entry is applied.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/log_entry.h"
#include "storage/objects/object_state_machine.h"
#include "storage/objects/records.h"
#include "storage/objects/state_editor.h"

namespace meridian::objects {

struct ApplyContext {
  const pb::Command& command;
  const storage::LogEntry& entry;
  const Limits& limits;
  StateEditor& state;
  // The `m` row, written back if it has changed.
  pb::PartitionMeta& meta;
  // Of the object, or upload, that the command is about; empty: of none, or an upload that is not
  // here.
  std::string object_name = {};

  // Whether what a mutation replaces stays. Decided here and not when the command was made, which
  // may be hours ago (P5).
  bool keep_versions() const {
    return meta.versioning_generation() > 0 ? meta.keep_versions() : command.keep_versions();
  }
  // Whether this partition holds the name, and not another one since a split (P7).
  bool Owns(std::string_view name) const {
    return name >= meta.range_start() && (meta.range_end().empty() || name < meta.range_end());
  }
  // Of a remembered request: what belongs to no name is everybody's.
  bool OwnsRequest(std::string_view name) const { return name.empty() || Owns(name); }
  int64_t now_us() const { return static_cast<int64_t>(entry.timestamp.value()); }
};

inline pb::Outcome MakeOutcome(pb::Outcome::Code code) {
  pb::Outcome outcome;
  outcome.set_format_version(kFormatVersion<pb::Outcome>);
  outcome.set_code(code);
  return outcome;
}

}  // namespace meridian::objects
