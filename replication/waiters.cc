#include "replication/waiters.h"

#include <utility>

namespace meridian::replication {
namespace {

// Takes out what is past its deadline. Deadlines ascend with the keys.
template <typename Map>
std::vector<typename Map::mapped_type> TakeLate(Map& waiting, absl::Duration now) {
  std::vector<typename Map::mapped_type> late;
  while (!waiting.empty() && waiting.begin()->second.deadline <= now) {
    late.push_back(std::move(waiting.begin()->second));
    waiting.erase(waiting.begin());
  }
  return late;
}

}  // namespace

void ProposalWaiters::Add(LogPosition position, absl::Duration begun, absl::Duration deadline,
                          Done done) {
  waiting_[position.index] = {position.epoch, begun, deadline, std::move(done)};
}

void ProposalWaiters::OnApplied(LogPosition position, Timestamp timestamp, std::string outcome,
                                absl::Duration now) {
  auto it = waiting_.find(position.index);
  if (it == waiting_.end()) return;
  Waiting waiting = std::move(it->second);
  waiting_.erase(it);
  if (waiting.epoch == position.epoch) {
    latency_.Observe(now - waiting.begun);
    waiting.done(Applied{std::move(outcome), position.index, timestamp});
  } else {
    waiting.done(absl::UnavailableError("another leader's entry took the proposal's place"));
  }
}

void ProposalWaiters::Tick(absl::Duration now) {
  for (Waiting& late : TakeLate(waiting_, now)) {
    late.done(absl::UnavailableError("not committed in time; the outcome is unknown"));
  }
}

void ProposalWaiters::FailAll(const absl::Status& reason) {
  for (auto& [index, waiting] : std::exchange(waiting_, {})) waiting.done(reason);
}

uint64_t ReadWaiters::Add(absl::Duration deadline, Done done) {
  waiting_[++last_id_] = {deadline, std::move(done)};
  return last_id_;
}

void ReadWaiters::OnConfirmed(const ConfirmedRead& read) {
  if (waiting_.contains(read.read_id)) confirmed_.emplace(read.index, read.read_id);
}

void ReadWaiters::OnApplied(LogIndex applied) {
  while (!confirmed_.empty() && confirmed_.begin()->first <= applied) {
    auto waiting = waiting_.find(confirmed_.begin()->second);
    confirmed_.erase(confirmed_.begin());
    if (waiting == waiting_.end()) continue;  // was too late
    Done done = std::move(waiting->second.done);
    waiting_.erase(waiting);
    done(absl::OkStatus());
  }
}

void ReadWaiters::Tick(absl::Duration now) {
  for (Waiting& late : TakeLate(waiting_, now)) {
    late.done(absl::UnavailableError("the leadership was not confirmed in time"));
  }
}

void ReadWaiters::FailAll(const absl::Status& reason) {
  confirmed_.clear();
  for (auto& [id, waiting] : std::exchange(waiting_, {})) waiting.done(reason);
}

}  // namespace meridian::replication
