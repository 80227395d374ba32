// Known bugs, made by the storage that a replica runs on or by the network: the product code is the
// same. Each is one that the rules exist to prevent, and that the checker has to find, from the
// clients' histories where not said otherwise.
#pragma once

#include "tests/simulation/cluster.h"

namespace meridian::simulation {

// I1, P2: a log write is reported durable before its sync; a power failure then loses it.
Plant ReplyBeforeSync();
// The same on the leader only: its own vote counts early.
Plant LeaderCountsItsVoteEarly();
// I3: members fence a leader that they still hear, and go on acknowledging its log.
Plant OldEpochAccepted();
// I4: one chunk in many is acknowledged, never stored, and taken for present.
Plant ChunkAcknowledgedButMissing();
// P7: the replicas of a split's child begin as empty, whole ones.
Plant ChildBeginsEmpty();
// A container shows another redundancy before its replicas keep it. Clients notice that only once a
// zone is gone: to be found inside.
Plant RedundancyShownEarly();

}  // namespace meridian::simulation
