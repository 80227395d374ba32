// ReplicaCore as a member: appends, probes, fences and fetches of others.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "replication/core/replica_core.h"

namespace meridian::replication {

void ReplicaCore::RefuseStale(ReplicaId from, CoreMessage reply) {
  ++counters_.stale_epochs_rejected;
  Send(from, std::move(reply));
}

void ReplicaCore::HeardLeader(absl::Duration now) {
  last_heard_ = now;
  election_deadline_ = now + RandomTimeout();
}

void ReplicaCore::On(ReplicaId from, Append& append, absl::Duration now) {
  if (append.epoch < promised_) {
    AppendReply reply;
    reply.epoch = promised_;
    return RefuseStale(from, reply);
  }
  if (append.epoch > promised_) {
    RaisePromise(append.epoch);
    BecomeFollower(from, now);
  } else if (leadership_ || (campaign_ && campaign_->epoch() == promised_)) {
    ++counters_.malformed_messages;  // nobody else can lead an epoch that was swapped in here
    return;
  } else if (leader_ != from || campaign_) {
    BecomeFollower(from, now);
  }
  HeardLeader(now);
  if (append.epoch > config_.epoch) out_.read_config = true;
  freeable_ = std::max(freeable_, append.freeable);
  reply_owed_ |= installing_ || append.entries.empty() || append.read_round != read_round_;
  read_round_ = std::max(read_round_, append.read_round);
  if (!installing_) FollowAppend(from, append);
}

void ReplicaCore::FollowAppend(ReplicaId from, Append& append) {
  LogPosition base = log_.base();
  if (append.prev.index < base.index) {
    // Committed and in the state already: no leader's log differs there (I5).
    auto first_new = std::find_if(append.entries.begin(), append.entries.end(),
                                  [&](const auto& entry) { return entry.index > base.index; });
    append.entries.erase(append.entries.begin(), first_new);
    append.prev = base;
    if (!append.entries.empty() && append.entries.front().epoch < base.epoch) {
      ++counters_.malformed_messages;
      return;
    }
  }
  if (!log_.Contains(append.prev)) {
    ++counters_.appends_rejected;
    AppendReply reply;
    reply.epoch = promised_;
    reply.rejected = true;
    reply.rejected_prev = append.prev.index;
    reply.hint = log_.LastAgreeable(append.prev);
    Send(from, reply);
    return;
  }
  LogIndex known = append.prev.index + append.entries.size();
  // A repetition: the reply may be lost, or wait for a slow disk; the leader must hear something.
  if (known <= log_.last().index) reply_owed_ = true;
  Merge(append.entries);
  matched_ = std::max({matched_, known, commit_});
  commit_ = std::max(commit_, std::min(append.commit, matched_));
}

void ReplicaCore::Merge(std::vector<storage::LogEntry>& entries) {
  for (storage::LogEntry& entry : entries) {
    if (log_.EpochAt(entry.index) == entry.epoch) continue;
    if (entry.index <= log_.last().index) Truncate(entry.index);
    LogPosition position{entry.epoch, entry.index};
    if (!entry.chunks.empty()) out_.incomplete.push_back({position, entry.chunks});
    log_.Append(std::move(entry), /*complete=*/false);
  }
}

void ReplicaCore::Truncate(LogIndex first) {
  CHECK_INVARIANT(first > commit_, "a committed prefix is never truncated (I5)");
  counters_.entries_truncated += log_.last().index - first + 1;
  log_.TruncateFrom(first);
  out_.truncated_from = std::min(first, out_.truncated_from.value_or(first));
  std::erase_if(out_.incomplete, [&](const auto& entry) { return entry.position.index >= first; });
}

void ReplicaCore::FlushReplies() {
  // A reply tells of this epoch's promise; before that is durable it must not be heard (I3).
  if (durable_promise_ != promised_) return;
  if (fence_reply_owed_) {
    FenceReply reply;
    reply.epoch = promised_;
    reply.last = {*log_.EpochAt(log_.durable_index()), log_.durable_index()};
    reply.base = log_.base().index;
    reply.installing = installing_;
    Send(*std::exchange(fence_reply_owed_, std::nullopt), reply);
  }
  if (reply_owed_ && !leader_.is_nil() && !leadership_ && !campaign_) {
    AppendReply reply;
    reply.epoch = promised_;
    reply.match = std::min(matched_, log_.durable_index());
    reply.read_round = read_round_;
    reply.installing = installing_;
    Send(leader_, reply);
  }
  reply_owed_ = false;
}

void ReplicaCore::On(ReplicaId from, const Probe& probe, absl::Duration now) {
  ProbeReply reply;
  reply.epoch = std::max(promised_, config_.epoch);
  reply.round = probe.round;
  reply.last = {*log_.EpochAt(log_.durable_index()), log_.durable_index()};
  reply.base = log_.base().index;
  reply.installing = installing_;
  // A leader that asks has started again and will not be heard as one any more (P1), or is
  // suspended.
  bool hears_leader = is_leader() || (leader_ != from && !leader_.is_nil() &&
                                      now - last_heard_ < options_.leadership.election_timeout);
  bool fencing = campaign_ && campaign_->stage() >= Campaign::Stage::kFence;
  reply.granted = !hears_leader && !fencing && probe.epoch >= reply.epoch;
  Send(from, reply);
  if (probe.epoch > config_.epoch) out_.read_config = true;
}

void ReplicaCore::On(ReplicaId from, const Fence& fence, absl::Duration now) {
  Epoch epoch = fence.config.epoch;
  bool rival =
      epoch == promised_ && (leadership_ || (campaign_ && campaign_->epoch() == epoch) ||
                             (leader_ != from && !leader_.is_nil() && config_.epoch == epoch));
  if (epoch < promised_ || rival) {
    FenceReply reply;
    reply.epoch = promised_;
    return RefuseStale(from, reply);
  }
  if (epoch > promised_) RaisePromise(epoch);
  if (epoch > config_.epoch) SetConfig(fence.config);
  if (leader_ != from || leadership_ || campaign_) BecomeFollower(from, now);
  HeardLeader(now);
  fence_reply_owed_ = from;
}

void ReplicaCore::OnLogRead(absl::Duration now) {
  if (auto waiting = std::exchange(fetch_waiting_, std::nullopt)) {
    On(waiting->first, waiting->second, now);
  }
}

void ReplicaCore::On(ReplicaId from, const FetchLog& fetch, absl::Duration) {
  FetchLogReply reply;
  reply.epoch = promised_;
  reply.prev = fetch.prev;
  if (fetch.epoch < promised_) return RefuseStale(from, std::move(reply));
  if (fetch.epoch != promised_ || leader_ != from || installing_) return;
  LogIndex last = log_.durable_index();
  reply.matched = log_.Contains(fetch.prev) && fetch.prev.index <= last;
  if (!reply.matched) {
    reply.hint = log_.LastAgreeable(fetch.prev);
  } else if (fetch.prev.index < last) {
    auto entries =
        log_.Read(fetch.prev.index + 1, last, options_.leadership.max_append_bytes, reader_);
    if (absl::IsOutOfRange(entries.status())) return;  // the base is about to follow: asked again
    if (IsReadUnderWay(entries.status())) {
      fetch_waiting_.emplace(from, fetch);
      return;
    }
    if (!entries.ok()) {
      out_.failure = entries.status();
      return;
    }
    reply.entries = *std::move(entries);
  }
  Send(from, std::move(reply));
}

}  // namespace meridian::replication
