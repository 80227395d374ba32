// What clients saw: invocations and responses, nothing of what happened in between.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/id.h"
#include "base/strong_int.h"

namespace meridian::simulation {

// One operation of a client on one object. A listing is a get of each name that it covers.
struct Operation {
  enum class Kind { kPut, kDelete, kGet };
  enum class Outcome {
    kUnknown,             // no answer: it may take effect at any time, or never
    kDone,                // put: `version` came to be; delete: at `timestamp`; get: `version` is it
    kAbsent,              // get, delete: there is no such object
    kPreconditionFailed,  // put, delete: `version` is the current one, nil if there is none
  };

  Kind kind = Kind::kGet;
  std::string name;
  // True time. An operation of unknown outcome returns at infinity.
  absl::Duration invoked;
  absl::Duration returned = absl::InfiniteDuration();

  std::optional<VersionId> if_match = {};
  bool if_none_match = false;
  // Put: what each attempt under the one request id drew; at most one of them comes to be.
  std::vector<VersionId> attempts = {};
  // Put: of the body written; get: of the body read. Unset if the body was not looked at.
  std::optional<uint64_t> body_digest = {};

  Outcome outcome = Outcome::kUnknown;
  VersionId version = {};
  // Commit time of `version` or of the delete; unset after kAbsent and kPreconditionFailed.
  Timestamp timestamp = {};
};

using History = std::vector<Operation>;

}  // namespace meridian::simulation
