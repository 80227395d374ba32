#include "tests/simulation/coordination_link.h"

#include <utility>

namespace meridian::simulation {
namespace {

using coordination::CommitResult;
using coordination::KeyValue;

}  // namespace

// Passes hints on late; the callback does not run after its end.
class CoordinationLink::DelayedWatch final : public WatchHandle {
 public:
  DelayedWatch(CoordinationLink& link, std::string prefix, std::function<void()> changed)
      : changed_(std::make_shared<std::function<void()>>(std::move(changed))) {
    watch_ = link.store_.Watch(std::move(prefix), [&link, weak = std::weak_ptr(changed_)] {
      const uint64_t copies = 1 + link.random_.Uniform(8) / 7;
      for (uint64_t copy = 0; copy < copies; ++copy) {
        // Some come seconds late.
        const int64_t slow = link.random_.Uniform(2) == 0 ? 1000 : 20;
        link.scheduler_.After(link.Delay() * slow, [weak] {
          if (const auto changed = weak.lock()) (*changed)();
        });
      }
    });
  }

 private:
  const std::shared_ptr<std::function<void()>> changed_;
  std::unique_ptr<WatchHandle> watch_;
};

bool CoordinationLink::Lost() {
  return conditions_.down || random_.Uniform(1 << 20) < conditions_.loss * (1 << 20);
}

absl::Duration CoordinationLink::Delay() {
  return absl::Microseconds(200 + static_cast<int64_t>(random_.Uniform(3000)));
}

template <typename Result>
void CoordinationLink::TimeOut(std::function<void(absl::StatusOr<Result>)> done) {
  scheduler_.After(absl::Milliseconds(100) + Delay(), [done = std::move(done)] {
    done(absl::UnavailableError("the coordination store does not answer"));
  });
}

void CoordinationLink::Get(std::string key,
                           std::function<void(absl::StatusOr<std::optional<KeyValue>>)> done) {
  if (Lost()) return TimeOut(std::move(done));
  scheduler_.After(Delay(), [this, key = std::move(key), done = std::move(done)] {
    store_.Get(key, [this, done](auto result) {
      scheduler_.After(Delay(), [done, result = std::move(result)] { done(result); });
    });
  });
}

void CoordinationLink::List(std::string prefix,
                            std::function<void(absl::StatusOr<std::vector<KeyValue>>)> done) {
  if (Lost()) return TimeOut(std::move(done));
  scheduler_.After(Delay(), [this, prefix = std::move(prefix), done = std::move(done)] {
    store_.List(prefix, [this, done](auto result) {
      scheduler_.After(Delay(), [done, result = std::move(result)] { done(result); });
    });
  });
}

void CoordinationLink::Commit(coordination::Transaction transaction,
                              std::function<void(absl::StatusOr<CommitResult>)> done) {
  if (Lost()) return TimeOut(std::move(done));
  const bool answer_lost = Lost();
  absl::Duration delay = Delay();
  if (answer_lost) {
    TimeOut<CommitResult>(std::move(done));
    done = [](absl::StatusOr<CommitResult>) {};
    // It may even take effect after its caller was told.
    delay *= random_.Uniform(2) == 0 ? 1 : 100;
  }
  scheduler_.After(delay, [this, transaction = std::move(transaction), done, answer_lost] {
    store_.Commit(transaction, [this, done, answer_lost](auto result) {
      if (answer_lost && result.ok() && result->succeeded) ++conditions_.unknown_outcomes;
      scheduler_.After(Delay(), [done, result = std::move(result)] { done(result); });
    });
  });
}

std::unique_ptr<coordination::CoordinationStore::WatchHandle> CoordinationLink::Watch(
    std::string prefix, std::function<void()> changed) {
  return std::make_unique<DelayedWatch>(*this, std::move(prefix), std::move(changed));
}

}  // namespace meridian::simulation
