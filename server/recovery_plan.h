// What is left of a group that has lost a quorum of its members, and whether it may go on with one
// survivor's log (P23). Pure; control/recover_group acts on it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "replication/core/group_config.h"

namespace meridian::server {

// A replica's own account; of one in service only.
struct SurvivorState {
  bool installing = false;
  Epoch promised;
  // The end of what is durable with all that it references.
  Epoch last_epoch;
  LogIndex last_index;
  LogIndex commit_index;
  // What a leader has told it that every member had: committed, whether it has it or not.
  LogIndex freeable_index;
  uint64_t chunks_without_copy = 0;
};

// Of a group that was ever led, a replica without a single entry has nothing of what the group had,
// and does not know which names are its own: it was made empty, to be given a snapshot.
bool IsWhole(const SurvivorState& state);

struct RecoveryMemberInPlan {
  replication::Member member;
  std::optional<SurvivorState> state;  // nullopt: it does not answer, or is out of service
  // Without a state: the coordination store says that it does not run.
  bool is_gone = false;
};

struct RecoveryPlan {
  // Of the members given, the one whose log is gone on with; nullopt: none is whole.
  std::optional<size_t> survivor;
  // Of those without a state, each once, in order.
  std::vector<NodeId> lost_nodes;
  // Entries that are known to be committed, and that the survivor does not have.
  uint64_t known_missing_entries = 0;
  // FAILED_PRECONDITION, with its reason: why the group must not be recovered as things are.
  absl::Status refusal;
  // Likewise: why it must not begin anew without anything, which is for a group without a survivor.
  absl::Status beginning_refusal;
};

// Each replica that a configuration names, once: the members, then those of joint_old, then the
// learners.
std::vector<replication::Member> AllMembers(const replication::GroupConfig& config);

// `members`: of all that AllMembers names. The survivor is the one that a new leader would adopt
// from, the highest (last epoch, last index) among the whole ones: such a log has whatever any
// survivor knows to be committed. Learners count too: what they have, a leader has sent them.
RecoveryPlan PlanRecovery(const replication::GroupConfig& config,
                          const std::vector<RecoveryMemberInPlan>& members);

}  // namespace meridian::server
