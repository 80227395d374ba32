#include "client/cli/transfer_pool.h"

#include <utility>

namespace meridian::cli {

TransferPool::TransferPool(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

TransferPool::~TransferPool() { Drain(); }

void TransferPool::Submit(std::function<void()> job) {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &TransferPool::HasRoom));
  jobs_.push_back(std::move(job));
}

void TransferPool::Drain() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void TransferPool::Work() {
  for (;;) {
    std::function<void()> job;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &TransferPool::HasWork));
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace meridian::cli
