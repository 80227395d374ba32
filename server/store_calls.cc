#include "server/store_calls.h"

#include <functional>
#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"
#include "server/await.h"

namespace meridian::server {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(5);

absl::Status Silent() { return absl::UnavailableError("the coordination store does not answer"); }

}  // namespace

absl::StatusOr<std::optional<coordination::KeyValue>> GetFrom(
    coordination::CoordinationStore& store, const std::string& key) {
  using Answer = absl::StatusOr<std::optional<coordination::KeyValue>>;
  std::optional<Answer> row = AwaitUntil<Answer>(
      absl::Now() + kTimeout,
      [&](std::function<void(Answer)> done) { store.Get(key, std::move(done)); });
  if (!row) return Silent();
  return *std::move(row);
}

absl::StatusOr<std::vector<coordination::KeyValue>> ListFrom(coordination::CoordinationStore& store,
                                                             const std::string& prefix) {
  using Answer = absl::StatusOr<std::vector<coordination::KeyValue>>;
  std::optional<Answer> rows = AwaitUntil<Answer>(
      absl::Now() + kTimeout,
      [&](std::function<void(Answer)> done) { store.List(prefix, std::move(done)); });
  if (!rows) return Silent();
  return *std::move(rows);
}

absl::Status CommitTo(coordination::CoordinationStore& store,
                      coordination::Transaction transaction) {
  using Answer = absl::StatusOr<coordination::CommitResult>;
  const std::optional<Answer> result =
      AwaitUntil<Answer>(absl::Now() + kTimeout, [&](std::function<void(Answer)> done) {
        store.Commit(std::move(transaction), std::move(done));
      });
  if (!result) return Silent();
  RETURN_IF_ERROR(result->status());
  if ((*result)->succeeded) return absl::OkStatus();
  return absl::AbortedError("it has changed meanwhile: look at it, and ask again");
}

}  // namespace meridian::server
