#include "tests/simulation/totals.h"

#include "absl/strings/str_cat.h"

namespace meridian::simulation {
namespace {

struct Field {
  const char* name;
  uint64_t Totals::*value;
};

constexpr Field kFields[] = {
    {"client operations", &Totals::operations},
    {"leader changes", &Totals::leader_changes},
    {"suspensions of leaders", &Totals::suspensions},
    {"suspensions of leaders while members change", &Totals::suspensions_in_changes},
    {"joint member changes", &Totals::member_changes},
    {"crashes that lost bytes", &Totals::crashes_that_lost_bytes},
    {"messages dropped", &Totals::messages_dropped},
    {"messages reordered", &Totals::messages_reordered},
    {"messages duplicated", &Totals::messages_duplicated},
    {"snapshots", &Totals::snapshots},
    {"stale epochs rejected", &Totals::stale_epochs_rejected},
    {"unknown swaps of a configuration", &Totals::unknown_swaps},
    {"unknown outcomes of operations", &Totals::unknown_outcomes},
    {"retried requests", &Totals::retries},
    {"failed preconditions", &Totals::preconditions_failed},
    {"log entries truncated", &Totals::entries_truncated},
    {"corrupt chunks repaired", &Totals::chunks_repaired},
    {"runs freed", &Totals::runs_freed},
    {"orphaned runs aborted", &Totals::orphans_aborted},
    {"splits finished", &Totals::splits_finished},
    {"splits given up", &Totals::splits_given_up},
    {"replicas of children built from parents", &Totals::children_built},
    {"replicas of children that came by snapshot", &Totals::children_by_snapshot},
    {"operations on names that had moved", &Totals::moved_answers},
    {"conversions begun", &Totals::conversions_begun},
    {"conversions ended", &Totals::conversions_ended},
    {"conversions taken back", &Totals::conversions_taken_back},
};

}  // namespace

void Totals::Add(const Totals& other) {
  for (const Field& field : kFields) this->*field.value += other.*field.value;
}

std::string Totals::ToString() const {
  std::string text;
  for (const Field& field : kFields) {
    absl::StrAppend(&text, absl::StrCat(field.name, ": ", this->*field.value, "\n"));
  }
  return text;
}

std::vector<std::string> Totals::Zeros() const {
  std::vector<std::string> zeros;
  for (const Field& field : kFields) {
    if (this->*field.value == 0) zeros.emplace_back(field.name);
  }
  return zeros;
}

}  // namespace meridian::simulation
