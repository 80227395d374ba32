#include "tests/simulation/checker.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace meridian::simulation {
namespace {

using Outcome = Operation::Outcome;
using Kind = Operation::Kind;

constexpr absl::Duration kNever = absl::InfiniteDuration();

std::string Describe(const Operation& operation) {
  const char* kind = operation.kind == Kind::kPut      ? "put"
                     : operation.kind == Kind::kDelete ? "delete"
                                                       : "get";
  const char* outcome = operation.outcome == Outcome::kDone     ? ""
                        : operation.outcome == Outcome::kAbsent ? " (absent)"
                        : operation.outcome == Outcome::kPreconditionFailed
                            ? " (precondition failed)"
                            : " (unknown outcome)";
  return absl::StrCat(
      kind, outcome,
      operation.version.is_nil() ? "" : " of " + operation.version.ToHex().substr(0, 8), " in [",
      absl::FormatDuration(operation.invoked), ", ", absl::FormatDuration(operation.returned), "]");
}

// A state of the object: what one write made of it, until the next write.
struct State {
  // Null for the first: absent since ever.
  const Operation* write = nullptr;
  bool absent = true;
  VersionId version;
  Timestamp timestamp;
  // Over the reads that saw this state.
  absl::Duration last_read_invoked = -kNever;
  absl::Duration first_read_returned = kNever;
  // The write took place in [earliest, latest].
  absl::Duration earliest = -kNever;
  absl::Duration latest = kNever;
};

// The history of one object.
class ObjectCheck {
 public:
  ObjectCheck(std::string name, std::vector<std::string>& violations)
      : name_(std::move(name)), violations_(violations) {}

  void Add(const Operation& operation) { operations_.push_back(&operation); }

  void Run() {
    CollectWriters();
    CollectSeenVersions();
    BuildStates();
    CollectReads();
    CheckConditions();
    SweepForward();
    SweepBackward();
    for (const Operation* read : absent_reads_) CheckAbsentRead(*read);
  }

 private:
  void Fail(const std::string& what) {
    violations_.push_back(absl::StrCat("object ", name_, ": ", what));
  }

  static bool SawAVersion(const Operation& operation) {
    if (operation.version.is_nil()) return false;
    return operation.outcome == Outcome::kPreconditionFailed ||
           (operation.outcome == Outcome::kDone && operation.kind != Kind::kDelete);
  }

  void CollectWriters() {
    for (const Operation* operation : operations_) {
      if (operation->kind == Kind::kDelete && operation->outcome == Outcome::kUnknown) {
        unknown_deletes_.push_back(operation);
      }
      if (operation->kind != Kind::kPut) continue;
      for (const VersionId attempt : operation->attempts) writers_[attempt] = operation;
    }
  }

  // Learns when each seen version was committed, and whether two came from one put.
  void CollectSeenVersions() {
    std::map<const Operation*, VersionId> effects;
    for (const Operation* operation : operations_) {
      if (!SawAVersion(*operation)) continue;
      const auto writer = writers_.find(operation->version);
      if (writer == writers_.end()) {
        Fail(Describe(*operation) + " saw a version that nobody wrote");
        continue;
      }
      const auto [effect, first] = effects.emplace(writer->second, operation->version);
      if (!first && effect->second != operation->version) {
        Fail(Describe(*writer->second) + " took effect twice");
      }
      if (operation->outcome != Outcome::kDone) continue;
      const auto [seen, first_seen] = timestamps_.emplace(operation->version, operation->timestamp);
      if (!first_seen && seen->second != operation->timestamp) {
        Fail(Describe(*operation) + " saw another commit time than an earlier operation");
      }
      if (operation->kind == Kind::kPut && writer->second != operation) {
        Fail(Describe(*operation) + " was answered with another put's version");
      }
    }
  }

  void BuildStates() {
    states_.emplace_back();
    for (const auto& [version, timestamp] : timestamps_) {
      const auto writer = writers_.find(version);
      if (writer == writers_.end()) continue;  // reported already
      State state;
      state.write = writer->second;
      state.absent = false;
      state.version = version;
      state.timestamp = timestamp;
      states_.push_back(state);
    }
    for (const Operation* operation : operations_) {
      if (operation->kind != Kind::kDelete || operation->outcome != Outcome::kDone) continue;
      State state;
      state.write = operation;
      state.timestamp = operation->timestamp;
      states_.push_back(state);
    }
    std::sort(states_.begin() + 1, states_.end(), [](const State& a, const State& b) {
      return std::tie(a.timestamp, a.version) < std::tie(b.timestamp, b.version);
    });
    for (size_t i = 1; i < states_.size(); ++i) {
      if (!states_[i].absent) state_of_version_[states_[i].version] = i;
    }
  }

  void CollectReads() {
    for (const Operation* operation : operations_) {
      const bool reads_absence =
          operation->outcome == Outcome::kAbsent ||
          (operation->outcome == Outcome::kPreconditionFailed && operation->version.is_nil());
      if (reads_absence) absent_reads_.push_back(operation);
      if (operation->kind == Kind::kPut && operation->outcome == Outcome::kDone) continue;
      if (!SawAVersion(*operation)) continue;
      const auto state = state_of_version_.find(operation->version);
      // The place of a version that only failed preconditions saw is not known.
      if (state == state_of_version_.end()) continue;
      State& read = states_[state->second];
      read.last_read_invoked = std::max(read.last_read_invoked, operation->invoked);
      read.first_read_returned = std::min(read.first_read_returned, operation->returned);
      CheckBody(*operation, *read.write);
    }
  }

  void CheckBody(const Operation& read, const Operation& write) {
    if (read.kind != Kind::kGet || !read.body_digest.has_value()) return;
    if (read.body_digest != write.body_digest) {
      Fail(Describe(read) + " returned other bytes than were written");
    }
  }

  void CheckConditions() {
    for (size_t i = 1; i < states_.size(); ++i) {
      const Operation& write = *states_[i].write;
      const State& before = states_[i - 1];
      if (write.if_match.has_value() && (before.absent || before.version != *write.if_match)) {
        Fail(Describe(write) + " took effect although its if-match did not hold");
      }
      if (write.if_none_match && !before.absent && !MayBeDeletedBefore(write.returned)) {
        Fail(Describe(write) + " took effect although the object was there");
      }
    }
    for (const Operation* operation : operations_) {
      if (operation->outcome != Outcome::kPreconditionFailed) continue;
      const bool held =
          (operation->if_match.has_value() && *operation->if_match == operation->version) ||
          (operation->if_none_match && operation->version.is_nil());
      if (held) Fail(Describe(*operation) + " was refused although its condition held");
    }
  }

  bool MayBeDeletedBefore(absl::Duration time) const {
    return std::any_of(unknown_deletes_.begin(), unknown_deletes_.end(),
                       [time](const Operation* d) { return d->invoked <= time; });
  }

  // The earliest time of each write: not before its invocation, the write before it, or a read of
  // the state before it.
  void SweepForward() {
    for (size_t i = 1; i < states_.size(); ++i) {
      State& state = states_[i];
      const State& before = states_[i - 1];
      state.earliest = std::max({state.write->invoked, before.earliest, before.last_read_invoked});
      if (state.earliest > state.write->returned) {
        Fail(absl::StrCat(Describe(*state.write),
                          " is ordered after what began only when it had returned, at ",
                          absl::FormatDuration(state.earliest)));
      }
      if (state.earliest > state.first_read_returned) {
        Fail(absl::StrCat("a read of the version made by ", Describe(*state.write), " returned at ",
                          absl::FormatDuration(state.first_read_returned),
                          ", but it cannot have been current before ",
                          absl::FormatDuration(state.earliest)));
      }
      // Reported once; what follows is judged as if it had fitted.
      state.earliest = std::min({state.earliest, state.write->returned, state.first_read_returned});
    }
  }

  void SweepBackward() {
    absl::Duration latest = kNever;
    for (size_t i = states_.size() - 1; i > 0; --i) {
      State& state = states_[i];
      latest = std::min({latest, state.write->returned, state.first_read_returned});
      state.latest = latest;
    }
  }

  absl::Duration EndOf(size_t state) const {
    return state + 1 < states_.size() ? states_[state + 1].latest : kNever;
  }

  void CheckAbsentRead(const Operation& read) {
    // From the last state that can have begun by the read's return, back to the last that must have
    // ended before its invocation.
    for (size_t i = states_.size(); i-- > 0 && EndOf(i) >= read.invoked;) {
      const State& state = states_[i];
      if (state.earliest > read.returned) continue;
      if (state.absent) return;
      for (const Operation* unknown : unknown_deletes_) {
        const absl::Duration deleted =
            std::max({unknown->invoked, state.earliest, state.last_read_invoked});
        if (deleted <= std::min(read.returned, EndOf(i))) return;
      }
    }
    Fail(Describe(read) + " did not see the object, which was there all the time");
  }

  const std::string name_;
  std::vector<std::string>& violations_;
  std::vector<const Operation*> operations_;
  std::vector<const Operation*> unknown_deletes_;
  std::vector<const Operation*> absent_reads_;
  absl::flat_hash_map<VersionId, const Operation*> writers_;
  // Of versions that were seen.
  std::map<VersionId, Timestamp> timestamps_;
  // In the order of the store's versions.
  std::vector<State> states_;
  absl::flat_hash_map<VersionId, size_t> state_of_version_;
};

}  // namespace

std::vector<std::string> CheckHistory(const History& history) {
  std::vector<std::string> violations;
  std::map<std::string, ObjectCheck> objects;
  for (const Operation& operation : history) {
    objects.try_emplace(operation.name, operation.name, violations).first->second.Add(operation);
  }
  for (auto& [name, object] : objects) object.Run();
  return violations;
}

}  // namespace meridian::simulation
