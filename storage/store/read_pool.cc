#include "storage/store/read_pool.h"

#include <utility>

namespace meridian::storage {

ReadPool::ReadPool(size_t threads, size_t max_waiting_logs, size_t max_waiting_chunks)
    : queues_{Queue{max_waiting_logs}, Queue{max_waiting_chunks}} {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

ReadPool::~ReadPool() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

bool ReadPool::Add(Kind kind, std::function<void()> read) {
  absl::MutexLock lock(&mutex_);
  Queue& queue = queues_[kind == Kind::kLog ? 0 : 1];
  if (queue.waiting.size() >= queue.max) return false;
  queue.waiting.push_back(std::move(read));
  changed_.Signal();
  return true;
}

bool ReadPool::IsIdle() const { return queues_[0].waiting.empty() && queues_[1].waiting.empty(); }

void ReadPool::Run() {
  while (true) {
    std::function<void()> read;
    {
      absl::MutexLock lock(&mutex_);
      while (IsIdle() && !stopping_) changed_.Wait(&mutex_);
      if (stopping_) return;
      if (queues_[turn_].waiting.empty()) turn_ = 1 - turn_;
      auto& waiting = queues_[turn_].waiting;
      turn_ = 1 - turn_;
      read = std::move(waiting.front());
      waiting.pop_front();
    }
    read();
  }
}

}  // namespace meridian::storage
