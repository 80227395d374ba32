#include "server/periodic.h"

#include <utility>

namespace meridian::server {

Periodic::Periodic(std::string name, absl::Duration interval, std::function<void()> turn)
    : interval_(interval), turn_(std::move(turn)), thread_(MakeThreadExecutor(std::move(name))) {
  Schedule();
}

Periodic::~Periodic() {
  std::unique_ptr<Executor> thread;
  {
    absl::MutexLock lock(&mutex_);
    thread = std::move(thread_);
  }
  thread.reset();  // a turn that runs comes to its end
}

void Periodic::Schedule() {
  absl::MutexLock lock(&mutex_);
  if (thread_ == nullptr) return;
  thread_->PostAfter(interval_, [this] {
    turn_();
    Schedule();
  });
}

}  // namespace meridian::server
