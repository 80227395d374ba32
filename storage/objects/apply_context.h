// What the parts of Apply share while one entry is applied.
#pragma once

#include <cstdint>

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

  // Whether what a mutation replaces stays. Decided here and not when the command was made, which
  // may be hours ago (P5).
  bool keep_versions() const {
    return meta.versioning_generation() > 0 ? meta.keep_versions() : command.keep_versions();
  }
  int64_t now_us() const { return static_cast<int64_t>(entry.timestamp.value()); }
};

inline pb::Outcome MakeOutcome(pb::Outcome::Code code) {
  pb::Outcome outcome;
  outcome.set_format_version(kFormatVersion<pb::Outcome>);
  outcome.set_code(code);
  return outcome;
}

}  // namespace meridian::objects
