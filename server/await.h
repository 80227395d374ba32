// Waiting for an answer that comes by callback.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace meridian::server {

// Calls `start` with a callback, and waits until it has been called; nullopt if that did not happen
// until `deadline`: the answer is then dropped when it comes. Not on a strand.
template <typename T>
std::optional<T> AwaitUntil(absl::Time deadline,
                            const std::function<void(std::function<void(T)>)>& start) {
  struct State {
    absl::Mutex mutex;
    std::optional<T> answer ABSL_GUARDED_BY(mutex);
  };
  auto state = std::make_shared<State>();
  start([state](T answer) {
    absl::MutexLock lock(&state->mutex);
    state->answer.emplace(std::move(answer));
  });
  absl::MutexLock lock(&state->mutex);
  const auto answered = [&state] {
    state->mutex.AssertReaderHeld();
    return state->answer.has_value();
  };
  state->mutex.AwaitWithDeadline(absl::Condition(&answered), deadline);
  return std::move(state->answer);
}

}  // namespace meridian::server
