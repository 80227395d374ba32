// Decides from a history alone whether each object behaved as one register (I1, I2).
#pragma once

#include <string>
#include <vector>

#include "tests/simulation/history.h"

namespace meridian::simulation {

// Every violation found, in words; empty: the history is linearizable object by object.
//
// An object is a register whose writes are ordered by the versions that the store returned, so that
// no search is needed: writes get the earliest times that the order, the invocations and the reads
// permit, in one sweep, and every operation must find room between its invocation and its return.
// O(n log n). A failed precondition is a read of the version that it names. A write of unknown
// outcome counts if its version was seen.
//
// Absence carries no version. A read of it is checked on its own against the times in which the
// object can have been absent, deletes of unknown outcome included: a necessary condition.
std::vector<std::string> CheckHistory(const History& history);

}  // namespace meridian::simulation
