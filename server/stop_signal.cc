#include "server/stop_signal.h"

#include <pthread.h>
#include <signal.h>

#include <cstdlib>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace meridian::server {

// Outlives the object: the threads are never joined.
struct StopSignal::State {
  absl::Mutex mutex;
  std::function<void()> drain ABSL_GUARDED_BY(mutex);
};

StopSignal::StopSignal(absl::Duration limit) : state_(std::make_shared<State>()) {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  // In this thread and all that it makes, so that only the one below sees them.
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  std::thread([state = state_, stop, limit] {
    int signal = 0;
    sigwait(&stop, &signal);
    std::function<void()> drain;
    {
      absl::MutexLock lock(&state->mutex);
      drain = state->drain;
    }
    if (!drain) std::_Exit(0);
    std::thread([drain = std::move(drain)] {
      drain();
      std::_Exit(0);
    }).detach();
    absl::SleepFor(limit);
    std::_Exit(0);
  }).detach();
}

void StopSignal::SetDrain(std::function<void()> drain) {
  absl::MutexLock lock(&state_->mutex);
  state_->drain = std::move(drain);
}

void StopSignal::Wait() {
  for (;;) absl::SleepFor(absl::InfiniteDuration());
}

}  // namespace meridian::server
