// Work that other threads hand to a strand, which is answered even if the strand's owner goes
// first.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "base/executor.h"

namespace meridian::replication {

// Thread-safe but for Close and the destructor, which belong on the strand.
class Inbox {
 public:
  // `strand` must outlive the inbox, not those who add to it through a Handle. At most `max_items`
  // wait.
  Inbox(Executor& strand, size_t max_items);
  ~Inbox();

  struct Item {
    Task run;
    // Called in place of `run`, with the reason; may be empty.
    std::function<void(const absl::Status&)> refuse;
  };

  // Exactly one of the item's two functions is called: `run` on the strand, or `refuse`, which
  // after Close runs on the calling thread at once. RESOURCE_EXHAUSTED: too much waits already.
  void Add(Item item);

  // Refuses what waits and all that comes later with `reason`.
  void Close(const absl::Status& reason);

  // Adds from callbacks that may outlive the inbox (and its strand); not bounded.
  class Handle;
  Handle MakeHandle() const;

 private:
  struct State;
  static void AddTo(const std::shared_ptr<State>& state, Item item, bool bounded);
  static void Drain(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
};

class Inbox::Handle {
 public:
  void Post(Task task) const;

 private:
  friend class Inbox;
  explicit Handle(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace meridian::replication
