// Waiting for the coordination store's callbacks. For this folder's own use.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace meridian::tenancy {

// Calls `start` with a callback and waits for it to be called; UNAVAILABLE if that has not happened
// within `timeout`: the answer is dropped when it comes.
template <typename T>
absl::StatusOr<T> Await(absl::Duration timeout,
                        const std::function<void(std::function<void(absl::StatusOr<T>)>)>& start) {
  struct State {
    absl::Mutex mutex;
    std::optional<absl::StatusOr<T>> answer ABSL_GUARDED_BY(mutex);
  };
  auto state = std::make_shared<State>();
  start([state](absl::StatusOr<T> answer) {
    absl::MutexLock lock(&state->mutex);
    state->answer.emplace(std::move(answer));
  });
  absl::MutexLock lock(&state->mutex);
  const auto answered = [&state] {
    state->mutex.AssertReaderHeld();
    return state->answer.has_value();
  };
  if (!state->mutex.AwaitWithTimeout(absl::Condition(&answered), timeout)) {
    return absl::UnavailableError("the coordination store did not answer in time");
  }
  return *std::move(state->answer);
}

}  // namespace meridian::tenancy
