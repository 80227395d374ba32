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

  int64_t now_us() const { return static_cast<int64_t>(entry.timestamp.value()); }
};

inline pb::Outcome MakeOutcome(pb::Outcome::Code code) {
  pb::Outcome outcome;
  outcome.set_format_version(kFormatVersion);
  outcome.set_code(code);
  return outcome;
}

}  // namespace meridian::objects
