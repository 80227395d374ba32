#include "tests/integration/workload.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "base/status.h"
#include "client/errors.h"
#include "tests/simulation/checker.h"
#include "tests/until.h"

namespace meridian {
namespace {

using simulation::History;
using Kind = simulation::Operation::Kind;
using Outcome = simulation::Operation::Outcome;

// An object tells by it which put made it, even one that was not answered.
constexpr char kTokenKey[] = "token";
constexpr int kSharedNames = 6;
// Several writers try each before they go on to the next.
constexpr uint64_t kCreationsOfName = 5;
constexpr size_t kRecentNames = 200;
constexpr int kReadBackThreads = 8;
constexpr size_t kInlineBytes = 300;
constexpr size_t kChunkedBytes = 100'000;

std::string BodyOf(const std::string& token, size_t size) {
  std::string body;
  while (body.size() < size) absl::StrAppend(&body, token, ":", body.size(), ";");
  return body;
}

uint64_t DigestOf(std::string_view body) { return std::hash<std::string_view>()(body); }

Timestamp TimestampOf(const v1::Object& object) {
  return Timestamp(static_cast<uint64_t>(object.create_time().seconds() * 1'000'000 +
                                         object.create_time().nanos() / 1000));
}

}  // namespace

Workload::Workload(const Profile& profile, Options options)
    : options_(std::move(options)), client_(profile) {
  for (int i = 0; i < options_.writers; ++i) threads_.emplace_back([this, i] { RunWriter(i); });
  for (int i = 0; i < options_.readers; ++i) threads_.emplace_back([this, i] { RunReader(i); });
  for (int i = 0; i < options_.listers; ++i) threads_.emplace_back([this] { RunLister(); });
}

void Workload::Stop() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

size_t Workload::acknowledged() const {
  absl::MutexLock lock(&mutex_);
  return times_.size();
}

bool Workload::Advances(size_t count, absl::Duration at_most) const {
  const size_t enough = acknowledged() + count;
  return Until([&] { return acknowledged() >= enough; }, at_most);
}

std::vector<std::string> Workload::errors() const {
  absl::MutexLock lock(&mutex_);
  return errors_;
}

absl::Duration Workload::LongestPause(absl::Time from) const {
  absl::MutexLock lock(&mutex_);
  absl::Duration longest = times_.empty() ? absl::InfiniteDuration() : absl::Now() - times_.back();
  for (size_t i = 1; i < times_.size(); ++i) {
    if (times_[i] > from) longest = std::max(longest, times_[i] - times_[i - 1]);
  }
  return longest;
}

void Workload::RunWriter(int writer) {
  SeededRandom random(static_cast<uint64_t>(writer) + 1);
  std::deque<Owned> owned;
  for (int i = 0; !stop_; ++i) {
    const uint64_t kind = random.Uniform(10);
    if (kind < 5) PutOwned(writer, i, random, owned);
    if (kind == 5) DeleteOwned(owned);
    if (kind == 6) PutShared(random);
    if (kind == 7) CreateShared();
    if (kind > 7) ReplaceShared(random);
  }
}

void Workload::RunReader(int reader) {
  SeededRandom random(static_cast<uint64_t>(reader) + 1'000'000);
  while (!stop_) {
    ReadBack(DrawName(random));
  }
}

void Workload::RunLister() {
  bool last = false;  // a whole list after the last write
  while (!last) {
    last = stop_;
    std::set<std::string> before;
    {
      absl::MutexLock lock(&mutex_);
      before = standing_;
    }
    std::vector<std::string> violations;
    const auto listed = List(violations);
    if (!listed.ok()) NoteError("a list", listed.status());
    absl::MutexLock lock(&mutex_);
    for (const std::string& name : before) {
      if (!listed.ok() || listed->contains(name) || !standing_.contains(name)) continue;
      violations.push_back(name + " was not listed");
    }
    list_violations_.insert(list_violations_.end(), violations.begin(), violations.end());
  }
}

void Workload::PutOwned(int writer, int number, SeededRandom& random, std::deque<Owned>& owned) {
  const std::string name = absl::StrCat(options_.prefix, "own-", writer, "-", number);
  const size_t size = random.Uniform(12) == 0 ? kChunkedBytes : kInlineBytes;
  const auto written = Put(name, {.size = size});
  // What was not answered may take effect later, and is left alone.
  if (!written.ok()) return;
  owned.push_back({name, TimestampOf(*written)});
  absl::MutexLock lock(&mutex_);
  standing_.insert(name);
}

void Workload::DeleteOwned(std::deque<Owned>& owned) {
  if (owned.empty()) return;
  const Owned object = std::move(owned.front());
  owned.pop_front();
  {
    absl::MutexLock lock(&mutex_);
    standing_.erase(object.name);
  }
  v1::DeleteObjectRequest request;
  request.set_container(options_.container);
  request.set_name(object.name);
  Entry entry = Begin(Kind::kDelete, object.name);
  const auto deleted = client_.DeleteObject(request, {.timeout = options_.timeout});
  if (deleted.ok()) {
    entry.operation.outcome = Outcome::kDone;
    // The answer does not tell; nobody writes the name any more, so that any later time will do.
    entry.operation.timestamp = object.written + 1;
  } else {
    NoteFailure(deleted.status(), entry);
    NoteError(object.name, deleted.status());
  }
  Record(std::move(entry));
}

void Workload::PutShared(SeededRandom& random) {
  (void)Put(DrawShared(random), {.size = kInlineBytes});
}

void Workload::CreateShared() {
  const uint64_t number = creations_++ / kCreationsOfName;
  (void)Put(absl::StrCat(options_.prefix, "created-", number),
            {.size = kInlineBytes, .if_none_match = true});
}

void Workload::ReplaceShared(SeededRandom& random) {
  const std::string name = DrawShared(random);
  const auto current = Get(name);
  if (current.ok()) (void)Put(name, {.size = kInlineBytes, .if_match = *current});
}

std::string Workload::DrawShared(SeededRandom& random) const {
  return absl::StrCat(options_.prefix, "shared-", random.Uniform(kSharedNames));
}

std::string Workload::DrawName(SeededRandom& random) const {
  if (random.Uniform(2) == 0) return DrawShared(random);
  absl::MutexLock lock(&mutex_);
  return recent_.empty() ? SharedName() : recent_[random.Uniform(recent_.size())];
}

absl::StatusOr<v1::Object> Workload::Put(const std::string& name, const PutKind& kind) {
  const auto written = Put(name, kind, [&](const v1::WriteSpec& spec, const std::string& body) {
    return client_.WriteObject(spec, body, {.timeout = options_.timeout});
  });
  NoteError(name, written.status());
  return written;
}

absl::StatusOr<v1::Object> Workload::Put(const std::string& name, const PutKind& kind,
                                         const PutCall& put) {
  Entry entry = Begin(Kind::kPut, name);
  entry.token = absl::StrCat(++last_token_);
  const std::string body = BodyOf(entry.token, kind.size);
  entry.operation.body_digest = DigestOf(body);
  v1::WriteSpec spec;
  spec.set_container(options_.container);
  spec.set_name(name);
  (*spec.mutable_metadata())[kTokenKey] = entry.token;
  if (kind.if_none_match) {
    entry.operation.if_none_match = true;
    spec.mutable_condition()->set_if_none_match(true);
  }
  if (kind.if_match) {
    entry.operation.if_match = VersionId::FromHex(kind.if_match->version_id());
    spec.mutable_condition()->set_if_match(kind.if_match->etag());
  }
  auto written = put(spec, body);
  if (written.ok()) {
    NoteObject(*written, entry);
  } else {
    NoteFailure(written.status(), entry);
  }
  Record(std::move(entry));
  return written;
}

absl::Status Workload::RecordPut(const std::string& name, const PutCall& put) {
  return Put(name, {.size = kInlineBytes}, put).status();
}

absl::StatusOr<v1::Object> Workload::Get(const std::string& name) {
  v1::GetObjectRequest request;
  request.set_container(options_.container);
  request.set_name(name);
  Entry entry = Begin(Kind::kGet, name);
  const auto object = client_.GetObject(request, {.timeout = options_.timeout});
  if (object.ok()) {
    NoteObject(*object, entry);
  } else {
    NoteFailure(object.status(), entry);
    NoteError(name, object.status());
  }
  Record(std::move(entry));
  return object;
}

void Workload::ReadBack(const std::string& name) {
  v1::ReadObjectRequest request;
  request.set_container(options_.container);
  request.set_name(name);
  const auto read = [&]() -> absl::StatusOr<Seen> {
    std::string body;
    auto object =
        client_.ReadObject(request, *MakeStringSink(&body), {.timeout = options_.timeout});
    if (!object.ok()) return object.status();
    return Seen{*std::move(object), std::move(body)};
  };
  NoteError(name, RecordRead(name, read));
}

absl::Status Workload::RecordRead(const std::string& name, const ReadCall& read) {
  Entry entry = Begin(Kind::kGet, name);
  const auto seen = read();
  if (seen.ok()) {
    NoteObject(seen->object, entry);
    entry.operation.body_digest = DigestOf(seen->body);
  } else {
    NoteFailure(seen.status(), entry);
  }
  Record(std::move(entry));
  return seen.status();
}

Workload::Entry Workload::Begin(Kind kind, const std::string& name) const {
  Entry entry;
  entry.operation.kind = kind;
  entry.operation.name = name;
  entry.operation.invoked = Elapsed();
  return entry;
}

void Workload::NoteObject(const v1::Object& object, Entry& entry) const {
  entry.operation.outcome = Outcome::kDone;
  entry.operation.version = VersionId::FromHex(object.version_id()).value_or(VersionId());
  entry.operation.timestamp = TimestampOf(object);
  entry.etag = object.etag();
  const auto token = object.metadata().find(kTokenKey);
  if (entry.operation.kind == Kind::kGet && token != object.metadata().end()) {
    entry.token = token->second;
  }
}

void Workload::NoteFailure(const absl::Status& status, Entry& entry) {
  const std::optional<std::string> current = CurrentEtagOf(status);
  if (absl::IsFailedPrecondition(status) && current) {
    entry.operation.outcome = Outcome::kPreconditionFailed;
    entry.current_etag = *current;
  } else if (absl::IsNotFound(status)) {
    entry.operation.outcome = Outcome::kAbsent;
  }
}

void Workload::NoteError(const std::string& name, const absl::Status& status) {
  const bool is_answer = status.ok() || absl::IsNotFound(status) ||
                         (absl::IsFailedPrecondition(status) && CurrentEtagOf(status));
  if (is_answer) return;
  absl::MutexLock lock(&mutex_);
  errors_.push_back(absl::StrCat(name, ": ", status.ToString()));
}

void Workload::Record(Entry entry) {
  const Operation& operation = entry.operation;
  if (operation.outcome != Outcome::kUnknown) entry.operation.returned = Elapsed();
  absl::MutexLock lock(&mutex_);
  if (operation.kind != Kind::kGet && operation.outcome == Outcome::kDone) {
    times_.push_back(absl::Now());
    recent_.push_back(operation.name);
    if (recent_.size() > kRecentNames) recent_.pop_front();
  }
  entries_.push_back(std::move(entry));
}

absl::Duration Workload::Elapsed() const {
  return absl::FromChrono(std::chrono::steady_clock::now() - start_);
}

std::vector<std::string> Workload::Check() {
  Stop();
  std::set<std::string> names;
  {
    absl::MutexLock lock(&mutex_);
    for (const Entry& entry : entries_) names.insert(entry.operation.name);
  }
  const size_t failed_before = errors().size();
  ReadAllBack({names.begin(), names.end()});
  std::vector<std::string> violations = CheckHistory(MakeHistory());
  const std::vector<std::string> failed = errors();
  for (size_t i = failed_before; i < failed.size(); ++i) {
    violations.push_back("cannot be read back: " + failed[i]);
  }
  CheckListing(violations);
  return violations;
}

void Workload::ReadAllBack(const std::vector<std::string>& names) {
  std::atomic<size_t> next{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < kReadBackThreads; ++i) {
    readers.emplace_back([&] {
      for (size_t at = next++; at < names.size(); at = next++) {
        ReadBack(names[at]);
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
}

History Workload::MakeHistory() const {
  absl::MutexLock lock(&mutex_);
  // What each put drew, as far as anybody was told; the version of each etag.
  std::map<std::string, std::set<VersionId>> versions_of_token;
  std::map<std::string, VersionId> version_of_etag;
  for (const Entry& entry : entries_) {
    if (entry.operation.outcome != Outcome::kDone || entry.operation.version.is_nil()) continue;
    versions_of_token[entry.token].insert(entry.operation.version);
    version_of_etag.emplace(entry.etag, entry.operation.version);
  }
  History history;
  for (const Entry& entry : entries_) {
    Operation operation = entry.operation;
    if (operation.kind == Kind::kPut) {
      const auto drawn = versions_of_token.find(entry.token);
      if (drawn != versions_of_token.end()) {
        operation.attempts.assign(drawn->second.begin(), drawn->second.end());
      }
    }
    if (!entry.current_etag.empty()) {
      const auto current = version_of_etag.find(entry.current_etag);
      // Made by a put that was not answered, and seen by nobody else.
      if (current == version_of_etag.end()) continue;
      operation.version = current->second;
    }
    history.push_back(std::move(operation));
  }
  return history;
}

void Workload::CheckListing(std::vector<std::string>& violations) {
  std::map<std::string, bool> expected;  // by name, as last read; without what may still change
  {
    absl::MutexLock lock(&mutex_);
    std::set<std::string> unsure;
    for (const Entry& entry : entries_) {
      const Operation& operation = entry.operation;
      if (operation.outcome == Outcome::kUnknown) unsure.insert(operation.name);
      if (operation.kind == Kind::kGet) {
        expected[operation.name] = operation.outcome == Outcome::kDone;
      }
    }
    for (const std::string& name : unsure) expected.erase(name);
  }
  const auto listed = List(violations);
  if (!listed.ok()) violations.push_back("listing: " + listed.status().ToString());
  for (const auto& [name, there] : expected) {
    if (!listed.ok() || listed->contains(name) == there) continue;
    violations.push_back(name + (there ? " is not listed" : " is listed, but not there"));
  }
  absl::MutexLock lock(&mutex_);
  violations.insert(violations.end(), list_violations_.begin(), list_violations_.end());
}

absl::StatusOr<std::set<std::string>> Workload::List(std::vector<std::string>& violations) {
  v1::ListObjectsRequest request;
  request.set_container(options_.container);
  request.set_prefix(options_.prefix);
  auto objects = client_.ListObjects(request);
  std::set<std::string> listed;
  while (true) {
    ASSIGN_OR_RETURN(const auto entry, objects.Next());
    if (!entry.has_value()) return listed;
    if (!listed.empty() && entry->name <= *listed.rbegin()) {
      violations.push_back(entry->name + " out of order");
    }
    listed.insert(entry->name);
  }
}

}  // namespace meridian
