#include "replication/chunk_fetcher.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"

namespace meridian::replication {
namespace {
// Bounds the memory that fetched chunks take. Small ones come many at a time, or a replica with
// many of them would be rebuilt at the speed of round trips; at most so many that a peer's queue of
// reads takes them, and that they do no harm if they turn out to be large.
constexpr size_t kMaxAskedBytes = 8 << 20;
constexpr size_t kMinAsked = 8;
constexpr size_t kMaxAsked = 32;
constexpr absl::Duration kFirstRetry = absl::Milliseconds(500);
constexpr absl::Duration kMaxRetry = absl::Seconds(5);
// How long a peer that did not answer is asked after all others: else each chunk would wait for it,
// and a replica would not be rebuilt as fast as others are written to.
constexpr absl::Duration kSilence = absl::Seconds(5);
// Rounds in which every other voter says that it has no good copy, after which a read is answered,
// and after which a chunk counts as lost.
constexpr size_t kSureRoundsOfRead = 2;
constexpr size_t kSureRounds = 3;
}  // namespace

ChunkFetcher::Ticket ChunkFetcher::Ensure(const std::vector<storage::ChunkRange>& ranges,
                                          std::function<void()> done, MayLose may_lose, Pace pace) {
  std::set<storage::ChunkId> missing;
  for (const storage::ChunkRange& range : ranges) {
    auto chunks = storage_.MissingChunks(range);
    if (!chunks.ok()) {
      hooks_.disk_failed(chunks.status());
      return 0;
    }
    missing.insert(chunks->begin(), chunks->end());
  }
  if (missing.empty()) {
    done();
    return 0;
  }
  Ticket ticket = ++last_ticket_;
  waiting_[ticket] = {missing.size(), std::move(done), std::move(may_lose), pace};
  for (const storage::ChunkId& chunk : missing) wanted_[chunk].tickets.insert(ticket);
  AskMore();
  return ticket;
}

void ChunkFetcher::CallOff(Ticket ticket) {
  if (waiting_.erase(ticket) == 0) return;
  for (auto it = wanted_.begin(); it != wanted_.end();) {
    auto next = std::next(it);
    if (it->second.tickets.erase(ticket) > 0) Drop(it);
    it = next;
  }
  AskMore();
}

// Forgets a chunk that nobody wants any more.
void ChunkFetcher::Drop(std::map<storage::ChunkId, Wanted>::iterator it) {
  const Wanted& wanted = it->second;
  if (!wanted.tickets.empty() || !wanted.reads.empty() || wanted.sought || wanted.storing) return;
  Release(it->second);
  wanted_.erase(it);
}

void ChunkFetcher::Release(Wanted& wanted) {
  if (std::exchange(wanted.asked, false)) --asked_;
  Settle(wanted, 0);
}

void ChunkFetcher::Settle(Wanted& wanted, size_t bytes) {
  const size_t reserved = std::exchange(wanted.reserved_bytes, 0);
  if (reserved == 0) return;
  hooks_.throttle->Take(bytes);
  hooks_.throttle->GiveBack(reserved);
  if (bytes > 0) chunk_bytes_ = bytes;
}

bool ChunkFetcher::PassThrottle(Wanted& wanted) {
  if (hooks_.throttle == nullptr || !wanted.reads.empty() || wanted.tickets.empty()) return true;
  const bool rebuild =
      std::all_of(wanted.tickets.begin(), wanted.tickets.end(),
                  [this](Ticket ticket) { return waiting_.at(ticket).pace == Pace::kRebuild; });
  if (!rebuild) return true;
  if (throttled_) return false;
  throttled_ = !hooks_.throttle->MayGo([this, alive = std::weak_ptr<char>(alive_)] {
    if (alive.expired()) return;
    throttled_ = false;
    AskMore();
  });
  if (throttled_) return false;
  wanted.reserved_bytes = chunk_bytes_;
  hooks_.throttle->Take(wanted.reserved_bytes);
  return true;
}

void ChunkFetcher::Fetch(storage::ChunkId chunk, absl::Duration deadline,
                         std::function<void(absl::StatusOr<Buffer>)> done) {
  Wanted& wanted = wanted_[chunk];
  if (wanted.reads.empty()) wanted.sure_rounds_of_reads = 0;
  wanted.reads.push_back({deadline, std::move(done)});
  reads_wait_ = true;
  AskMore();
}

void ChunkFetcher::Seek(storage::ChunkId chunk) {
  wanted_[chunk].sought = true;
  AskMore();
}

void ChunkFetcher::AskMore() {
  if (peers_.peers().empty() && hooks_.config() == nullptr) return;  // it is not known whom to ask
  const absl::Duration now = hooks_.now();
  const size_t max_asked = MaxAsked();
  bool reads_seen = false;
  for (auto& [chunk, wanted] : wanted_) {
    if (asked_ >= max_asked && !reads_wait_) return;
    reads_seen |= !wanted.reads.empty();
    if (wanted.asked || now < wanted.not_before) continue;
    // Reads, of which few can be waiting, do not queue behind catching up. A write of the chunk
    // that is under way here is as good as a peer's copy.
    if (wanted.reads.empty() && (asked_ >= max_asked || storing_.contains(chunk))) continue;
    if (!PassThrottle(wanted)) continue;
    wanted.asked = true;
    ++asked_;
    BeginRound(chunk, wanted);
  }
  reads_wait_ = reads_seen;
}

size_t ChunkFetcher::MaxAsked() const {
  return std::clamp(kMaxAskedBytes / large_bytes_, kMinAsked, kMaxAsked);
}

void ChunkFetcher::BeginRound(storage::ChunkId chunk, Wanted& wanted) {
  const auto& peers = peers_.peers();
  wanted.to_ask = peers;
  // Not every chunk from the same one first; most runs have only one.
  const size_t first = static_cast<uint8_t>(chunk.run.bytes().back()) + size_t{chunk.number};
  const size_t turn = peers.empty() ? 0 : first % peers.size();
  std::rotate(wanted.to_ask.begin(), wanted.to_ask.begin() + turn, wanted.to_ask.end());
  std::stable_partition(wanted.to_ask.begin(), wanted.to_ask.end(),
                        [this](ReplicaId peer) { return !IsSilent(peer); });
  std::reverse(wanted.to_ask.begin(), wanted.to_ask.end());
  if (wanted.rounds > 0 || wanted.sought || peers.empty()) {
    wanted.to_ask.insert(wanted.to_ask.begin(), peers_.left().begin(), peers_.left().end());
  }
  wanted.without.clear();
  wanted.unclear = false;
  wanted.may_lose = SomeoneMayLose(wanted);
  // A replica that is alone in its group still comes to know that nobody has it.
  if (wanted.to_ask.empty()) return EndRound(wanted);
  Ask(chunk, wanted);
}

bool ChunkFetcher::IsSilent(ReplicaId peer) const {
  const auto silent = silent_until_.find(peer);
  return silent != silent_until_.end() && hooks_.now() < silent->second;
}

void ChunkFetcher::Ask(storage::ChunkId chunk, Wanted& wanted) {
  wanted.asked_at = hooks_.now();
  wanted.asked_of = wanted.to_ask.back();
  wanted.to_ask.pop_back();
  peers_.Send(wanted.asked_of, ChunkFetch{chunk});
}

absl::Duration ChunkFetcher::RetryAfter(const Wanted& wanted) const {
  // Each round more slowly.
  return std::min(kMaxRetry, kFirstRetry * static_cast<double>(1 + wanted.rounds));
}

void ChunkFetcher::Serve(ReplicaId from, const ChunkFetch& request) {
  storage_.ReadChunkLater(request.chunk, [this, from, chunk = request.chunk](auto stored) {
    ChunkFetchReply reply;
    reply.chunk = chunk;
    reply.code = stored.status().code();
    if (stored.ok()) {
      reply.crc32c = stored->crc32c;
      reply.ciphertext = std::move(stored->ciphertext);
    }
    peers_.Send(from, reply);
  });
}

void ChunkFetcher::OnReply(ReplicaId from, ChunkFetchReply reply) {
  silent_until_.erase(from);
  auto it = wanted_.find(reply.chunk);
  if (it == wanted_.end() || it->second.storing) return;
  Wanted& wanted = it->second;
  wanted.asked_at = hooks_.now();
  bool good = reply.code == absl::StatusCode::kOk && IsChunkSize(reply.ciphertext.size()) &&
              Crc32c(reply.ciphertext.view()) == reply.crc32c;
  if (!good) {
    const bool absent =
        reply.code == absl::StatusCode::kNotFound || reply.code == absl::StatusCode::kDataLoss;
    if (absent) {
      wanted.without.insert(from);
    } else {
      wanted.unclear = true;  // it is busy, or its answer was damaged: it may have the chunk
    }
    // The next one at once, the next round by Tick.
    if (wanted.asked && !wanted.to_ask.empty()) Ask(it->first, wanted);
    return;
  }
  Settle(wanted, reply.ciphertext.size());
  large_bytes_ = std::max(reply.ciphertext.size(), large_bytes_ - large_bytes_ / 8);
  auto info = storage_.StatChunk(reply.chunk);
  if (!info.ok()) return hooks_.disk_failed(info.status());
  bool repair = info->has_value();
  if (!repair && wanted.tickets.empty() && wanted.reads.empty()) {
    wanted.sought = false;  // its run was dropped meanwhile
    return Drop(it);
  }
  wanted.storing = true;
  auto stored = [this, chunk = reply.chunk, bytes = reply.ciphertext, repair](absl::Status status) {
    if (absl::IsResourceExhausted(status)) {
      // The bytes can be served; the copy waits for space.
      auto wanted = wanted_.find(chunk);
      if (wanted == wanted_.end()) return;
      wanted->second.storing = wanted->second.sought = false;
      for (Read& read : std::exchange(wanted->second.reads, {})) read.done(bytes);
      return Drop(wanted);
    }
    if (!status.ok()) return hooks_.disk_failed(status);
    ++(repair ? counters_.repaired : counters_.fetched);
    Arrived(chunk, &bytes);
  };
  // Also one that was never here: it is the group's already, not new data.
  storage_.RepairChunk(reply.chunk, reply.ciphertext, reply.crc32c, std::move(stored));
}

void ChunkFetcher::Store(storage::ChunkId chunk, Buffer ciphertext, uint32_t crc32c,
                         std::function<void(absl::Status)> done) {
  if (!IsChunkSize(ciphertext.size())) {
    return done(absl::InvalidArgumentError("a chunk is empty or too large"));
  }
  ++storing_[chunk];
  storage_.WriteChunk(chunk, std::move(ciphertext), crc32c,
                      [this, chunk, done = std::move(done)](absl::Status status) {
                        if (--storing_[chunk] == 0) storing_.erase(chunk);
                        if (status.ok()) {
                          auto it = wanted_.find(chunk);
                          // A corrupt copy is not made good by a write that found it there.
                          if (it != wanted_.end() && it->second.reads.empty()) {
                            Arrived(chunk, nullptr);
                          }
                        } else if (absl::IsResourceExhausted(status)) {
                          // A full queue is not a full disk.
                          if (storage_.AdmitNewData().ok()) {
                            status = absl::UnavailableError("too much waits for the disk");
                          }
                          AskMore();
                        } else if (!absl::IsInvalidArgument(status)) {
                          return hooks_.disk_failed(status);
                        }
                        done(std::move(status));
                      });
}

// The chunk is durable here; `bytes` are for the reads that wait.
void ChunkFetcher::Arrived(storage::ChunkId chunk, const Buffer* bytes) {
  auto it = wanted_.find(chunk);
  if (it == wanted_.end()) return;
  Wanted wanted = std::move(it->second);
  wanted_.erase(it);
  Release(wanted);
  AskMore();
  for (Read& read : wanted.reads) read.done(*bytes);
  Complete(wanted.tickets);
}

void ChunkFetcher::Complete(const std::set<Ticket>& tickets) {
  std::vector<std::function<void()>> complete;
  for (Ticket ticket : tickets) {
    auto waiting = waiting_.find(ticket);
    if (waiting == waiting_.end()) continue;  // called off by what was called before
    if (--waiting->second.missing > 0) continue;
    complete.push_back(std::move(waiting->second.done));
    waiting_.erase(waiting);
  }
  for (auto& done : complete) done();
}

bool ChunkFetcher::SomeoneMayLose(const Wanted& wanted) const {
  return std::any_of(wanted.tickets.begin(), wanted.tickets.end(), [&](Ticket ticket) {
    const MayLose& may_lose = waiting_.at(ticket).may_lose;
    return may_lose && may_lose();
  });
}

bool ChunkFetcher::NobodyHasIt(const Wanted& wanted) const {
  // Of an epoch whose members are not known, nobody knows who has it.
  const GroupConfig* config = hooks_.config();
  if (config == nullptr || wanted.unclear) return false;
  for (const auto* voters : {&config->members, &config->joint_old}) {
    for (const Member& voter : *voters) {
      if (voter.replica != peers_.self() && !wanted.without.contains(voter.replica)) return false;
    }
  }
  return true;
}

void ChunkFetcher::EndRound(Wanted& wanted) {
  const bool sure = NobodyHasIt(wanted);
  ++wanted.rounds;
  wanted.sought = false;
  wanted.sure_rounds_of_reads = sure && !wanted.reads.empty() ? wanted.sure_rounds_of_reads + 1 : 0;
  // What was said before the entry was committed says nothing of those who commit it.
  wanted.sure_rounds =
      sure && wanted.may_lose && SomeoneMayLose(wanted) ? wanted.sure_rounds + 1 : 0;
  Release(wanted);
  wanted.not_before = hooks_.now() + (wanted.reads.empty() ? kFirstRetry : absl::ZeroDuration());
}

void ChunkFetcher::PlaceLost(storage::ChunkId chunk) {
  auto wanted = wanted_.find(chunk);
  if (wanted == wanted_.end()) return;
  auto info = storage_.StatChunk(chunk);
  if (!info.ok()) return hooks_.disk_failed(info.status());
  wanted->second.storing = true;
  // What has a row already was counted, by whoever found it damaged.
  storage_.PlaceLost(chunk, [this, chunk, first = !info->has_value()](const absl::Status& status) {
    OnPlacedLost(chunk, first, status);
  });
}

void ChunkFetcher::OnPlacedLost(storage::ChunkId chunk, bool first, const absl::Status& status) {
  if (!status.ok() && !absl::IsResourceExhausted(status)) return hooks_.disk_failed(status);
  // Of a disk that was full the record may be there, and not be durable yet: then the next attempt
  // is not the first.
  const auto info = storage_.StatChunk(chunk);
  if (!info.ok()) return hooks_.disk_failed(info.status());
  if (first && (status.ok() || info->has_value())) ++counters_.lost;
  auto it = wanted_.find(chunk);
  if (it == wanted_.end()) return;
  it->second.storing = false;
  if (!status.ok()) return Drop(it);  // the disk is full: after another round
  std::set<Ticket> going_on;
  for (Ticket ticket : it->second.tickets) {
    const MayLose& may_lose = waiting_.at(ticket).may_lose;
    if (may_lose && may_lose()) going_on.insert(ticket);
  }
  for (Ticket ticket : going_on) it->second.tickets.erase(ticket);
  Drop(it);
  Complete(going_on);
}

void ChunkFetcher::Tick() {
  absl::Duration now = hooks_.now();
  std::vector<Read> late;
  std::vector<Read> lost;
  std::vector<storage::ChunkId> to_place;
  for (auto it = wanted_.begin(); it != wanted_.end();) {
    auto next = std::next(it);
    Wanted& wanted = it->second;
    auto first_late = std::partition(wanted.reads.begin(), wanted.reads.end(),
                                     [&](const Read& read) { return read.deadline > now; });
    std::move(first_late, wanted.reads.end(), std::back_inserter(late));
    wanted.reads.erase(first_late, wanted.reads.end());
    if (wanted.asked && !wanted.storing && now - wanted.asked_at >= RetryAfter(wanted)) {
      silent_until_[wanted.asked_of] = now + kSilence;
      if (wanted.to_ask.empty()) {
        EndRound(wanted);
      } else {
        Ask(it->first, wanted);
      }
    }
    if (wanted.sure_rounds_of_reads >= kSureRoundsOfRead) {
      std::move(wanted.reads.begin(), wanted.reads.end(), std::back_inserter(lost));
      wanted.reads.clear();
    }
    if (wanted.sure_rounds >= kSureRounds && !wanted.storing) to_place.push_back(it->first);
    Drop(it);
    it = next;
  }
  std::erase_if(silent_until_, [now](const auto& peer) { return peer.second <= now; });
  for (const storage::ChunkId& chunk : to_place) PlaceLost(chunk);
  AskMore();
  for (Read& read : lost) read.done(absl::DataLossError("no replica has a good copy of the chunk"));
  for (Read& read : late) {
    read.done(absl::UnavailableError("no peer has delivered a good copy of the chunk in time"));
  }
}

size_t ChunkFetcher::awaited() const {
  return std::count_if(wanted_.begin(), wanted_.end(),
                       [](const auto& entry) { return !entry.second.tickets.empty(); });
}

size_t ChunkFetcher::sought() const {
  return std::count_if(wanted_.begin(), wanted_.end(),
                       [](const auto& entry) { return entry.second.sought; });
}

void ChunkFetcher::FailAll(const absl::Status& reason) {
  auto wanted = std::exchange(wanted_, {});
  waiting_.clear();
  asked_ = 0;
  for (auto& [chunk, entry] : wanted) {
    Settle(entry, 0);
    for (Read& read : entry.reads) read.done(reason);
  }
}

}  // namespace meridian::replication
