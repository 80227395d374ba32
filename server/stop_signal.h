// SIGTERM and SIGINT: the process ends in time, whatever it is doing.
#pragma once

#include <functional>
#include <memory>

#include "absl/time/time.h"

namespace meridian::server {

// One of a process, made before any other thread. The process exits with 0: at once while there is
// nothing to drain, for its disks bear a crash; else after the drain, or `limit` after the signal,
// if the drain hangs on a disk or on others. No destructor runs, and no stream is flushed: another
// thread may hold its lock, in a write to a pipe that nobody reads. Thread-safe.
class StopSignal {
 public:
  explicit StopSignal(absl::Duration limit);

  // What a stop from now on does first.
  void SetDrain(std::function<void()> drain);
  // Until the process ends.
  [[noreturn]] void Wait();

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace meridian::server
