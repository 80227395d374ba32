#include "replication/config_keeper.h"

#include <algorithm>
#include <utility>

#include "replication/replica.h"

namespace meridian::replication {
namespace {

constexpr absl::Duration kFirstPause = absl::Seconds(1);
constexpr absl::Duration kMaxPause = absl::Seconds(4);

}  // namespace

ConfigKeeper::ConfigKeeper(PartitionId partition, coordination::CoordinationStore& store,
                           Inbox::Handle strand, GroupConfig config, int64_t revision,
                           absl::Duration timeout,
                           std::function<void(const GroupConfig&)> on_config)
    : key_(GroupConfigKey(partition)),
      store_(store),
      strand_(std::move(strand)),
      known_(std::move(config)),
      revision_(revision),
      on_config_(std::move(on_config)),
      timeout_(timeout) {}

void ConfigKeeper::Read() {
  if (reading_) {
    read_again_ = true;
    return;
  }
  reading_ = true;
  reading_since_.reset();
  store_.Get(key_, [this, read = ++last_read_, strand = strand_](auto result) {
    // Dropped with the inbox, so that `this` is alive when it runs.
    strand.Post(
        [this, read, result = std::move(result)]() mutable { OnRead(read, std::move(result)); });
  });
}

void ConfigKeeper::Tick(absl::Duration now) {
  if (pausing_) {
    if (!pausing_since_) pausing_since_ = now;
    if (now - *pausing_since_ >= pause_) {
      swapping_ = pausing_ = false;
      Read();
    }
  }
  if (!reading_) return;
  if (!reading_since_) reading_since_ = now;
  if (now - *reading_since_ < timeout_) return;
  reading_ = false;
  Read();
}

void ConfigKeeper::OnRead(uint64_t read,
                          absl::StatusOr<std::optional<coordination::KeyValue>> result) {
  // What a read that was given up brings is as good, unless a newer revision is known.
  if (read == last_read_) reading_ = false;
  // A read that failed is not repeated here: who needs it asks again by its own timer.
  if (!reading_ && std::exchange(read_again_, false)) Read();
  if (!result.ok() || !result->has_value()) return;
  auto config = DecodeGroupConfig((*result)->value);
  if (!config.ok() || (*result)->mod_revision < revision_) return;
  if (swapping_ && *config == known_) return;
  known_ = *config;
  revision_ = (*result)->mod_revision;
  on_config_(known_);
}

void ConfigKeeper::Swap(const GroupConfig& next) {
  if (next.epoch != known_.epoch + 1) return Read();
  coordination::Transaction swap;
  swap.compares.push_back({key_, revision_});
  swap.writes.push_back({key_, EncodeGroupConfig(next)});
  swapping_ = true;
  pausing_ = false;
  store_.Commit(std::move(swap), [this, id = ++last_commit_, strand = strand_](auto result) {
    strand.Post([this, id, status = result.status()] { OnSwapped(id, status); });
  });
}

void ConfigKeeper::OnSwapped(uint64_t swap, const absl::Status& status) {
  last_swap_ = status;
  if (!status.ok()) ++failed_swaps_;
  if (swap != last_commit_) return;  // a later one will be answered
  if (!absl::IsResourceExhausted(status)) {
    // Succeeded, refused or unknown: only a read tells what holds now.
    pause_ = absl::ZeroDuration();
    swapping_ = false;
    return Read();
  }
  pause_ = std::clamp(pause_ * 2, kFirstPause, kMaxPause);
  pausing_ = true;
  pausing_since_.reset();
}

}  // namespace meridian::replication
