#include "tests/simulation/workload.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/objects/records.h"

namespace meridian::simulation {
namespace {

constexpr size_t kNamesOfAContainer = 10;
constexpr absl::Duration kAttemptTimeout = absl::Milliseconds(1500);
// A client gives up then; an operation that was sent has an unknown outcome.
constexpr absl::Duration kOperationTimeout = absl::Seconds(6);

uint64_t DigestOf(const std::string& body) { return std::hash<std::string>()(body); }

std::string Join(const std::vector<std::string>& parts) {
  std::string whole;
  for (const std::string& part : parts) whole += part;
  return whole;
}

}  // namespace

std::vector<std::string> ObjectNames(size_t container) {
  std::vector<std::string> names;
  for (size_t i = 0; i < kNamesOfAContainer; ++i) {
    names.push_back(absl::StrCat("c", container, "/", i));
  }
  return names;
}

struct Client::Call {
  enum class Kind { kWrite, kRead, kList };
  Kind kind = Kind::kRead;
  size_t container = 0;
  const Group* group = nullptr;  // of the last attempt
  // kWrite: the version is drawn anew for each attempt.
  WriteRequest write = {};
  std::string name = {};  // kList: decides only which partition
  // In the history; a listing has none until it returns.
  std::optional<size_t> record = {};
  absl::Duration invoked = {};
  absl::Duration deadline = absl::InfiniteDuration();
  Node* node = nullptr;  // of the last attempt
  // Answers to earlier attempts are not looked at.
  uint64_t attempt = 0;
  std::function<void()> done = {};
};

Client::Client(Cluster& cluster, uint64_t seed, WorkloadLog& log)
    : cluster_(cluster), random_(seed), log_(log) {
  for (size_t i = 0; i < Cluster::kContainers; ++i) maps_.push_back(cluster.MapOf(i));
}
Client::~Client() = default;

absl::Duration Client::Between(int64_t low_us, int64_t high_us) {
  return absl::Microseconds(
      low_us + static_cast<int64_t>(random_.Uniform(static_cast<uint64_t>(high_us - low_us))));
}

Operation& Client::Record(const Call& call) { return log_.history[*call.record]; }

void Client::Run(uint64_t operations, std::function<void()> done) {
  remaining_ = operations;
  done_ = std::move(done);
  RunNext();
}

void Client::RunNext() {
  if (remaining_ == 0) return done_();
  --remaining_;
  cluster_.scheduler().After(Between(500, 60'000), [this] {
    std::shared_ptr<Call> call = MakeRandomCall();
    call->deadline = cluster_.scheduler().now() + kOperationTimeout;
    Begin(std::move(call), [this] { RunNext(); });
  });
}

void Client::ReadAll(size_t container, std::function<void()> done) {
  auto left = std::make_shared<size_t>(0);
  for (const std::string& name : ObjectNames(container)) {
    ++*left;
    Begin(MakeRead(container, name), [left, done] {
      if (--*left == 0) done();
    });
  }
}

std::shared_ptr<Client::Call> Client::MakeRead(size_t container, const std::string& name) {
  auto call = std::make_shared<Call>();
  call->kind = Call::Kind::kRead;
  call->container = container;
  call->name = name;
  return call;
}

std::shared_ptr<Client::Call> Client::MakeRandomCall() {
  const size_t container = random_.Uniform(Cluster::kContainers);
  const std::string name = ObjectNames(container)[random_.Uniform(kNamesOfAContainer)];
  auto call = MakeRead(container, name);
  const uint64_t die = random_.Uniform(100);
  if (die < 35) return call;
  if (die < 40) {
    call->kind = Call::Kind::kList;
    return call;
  }
  call->kind = Call::Kind::kWrite;
  WriteRequest& write = call->write;
  write.name = name;
  write.request_id = std::string(VersionId::Draw(random_).bytes());
  write.created = absl::FromUnixSeconds(1700000000) + cluster_.scheduler().now();
  const auto known = known_.find(name);
  if (Chance(20) && known != known_.end()) {
    write.if_match = known->second;
  } else if (Chance(10)) {
    write.if_none_match = true;
  }
  if (die < 50 && !write.if_none_match) return call;  // a delete
  std::vector<std::string> parts(die < 75 ? 1 : 2 + random_.Uniform(2));
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string word = absl::StrCat(random_.Next(), "/", ++bodies_, "/", i, ";");
    for (uint64_t n = 1 + random_.Uniform(4); n > 0; --n) parts[i] += word;
  }
  write.body_parts = std::move(parts);
  return call;
}

void Client::Begin(std::shared_ptr<Call> call, std::function<void()> done) {
  ++log_.operations;
  call->invoked = cluster_.scheduler().now();
  call->done = std::move(done);
  if (call->kind != Call::Kind::kList) {
    call->record = log_.history.size();
    Operation& operation = log_.history.emplace_back();
    operation.invoked = call->invoked;
    operation.name = call->name;
    if (call->kind == Call::Kind::kWrite) {
      const WriteRequest& write = call->write;
      operation.name = write.name;
      operation.kind =
          write.body_parts.has_value() ? Operation::Kind::kPut : Operation::Kind::kDelete;
      operation.if_match = write.if_match;
      operation.if_none_match = write.if_none_match;
      if (write.body_parts.has_value()) operation.body_digest = DigestOf(Join(*write.body_parts));
    }
  }
  Attempt(call);
}

void Client::Route(Call& call) {
  const PartitionId partition = FindPartition(maps_[call.container], call.name);
  if (call.group == nullptr || call.group->partition != partition) {
    call.group = cluster_.FindGroup(partition);
  }
}

// Null: nothing is known of the group's members.
Node* Client::ChooseNode(const Call& call) {
  const std::vector<Node*>& nodes = call.group->nodes;
  Node* const leader = leaders_[call.group->partition];
  if (leader != nullptr && !Chance(12)) return leader;
  return nodes.empty() ? nullptr : nodes[random_.Uniform(nodes.size())];
}

void Client::Attempt(const std::shared_ptr<Call>& call) {
  const uint64_t attempt = ++call->attempt;
  if (attempt > 1 && call->kind == Call::Kind::kWrite) ++log_.retries;
  if (call->kind == Call::Kind::kWrite) {
    call->write.version = VersionId::Draw(random_);
    if (call->write.body_parts.has_value()) {
      Record(*call).attempts.push_back(call->write.version);
      log_.version_of_etag[objects::EtagOf(call->write.version)] = call->write.version;
    }
  }
  Route(*call);
  call->node = ChooseNode(*call);
  // Its map may be too old to name a partition that is still there.
  if (call->node == nullptr) return TryElsewhere(call);
  Node& node = *call->node;
  cluster_.scheduler().After(Between(100, 1000), [this, call, attempt, &node] {
    if (!node.is_up()) {
      return Reply(call, attempt, [this, call] { Retry(call); });
    }
    node.strand().Post([this, call, attempt, &node] { Execute(call, attempt, node); });
  });
  cluster_.scheduler().After(kAttemptTimeout, [this, call, attempt] {
    if (call->attempt == attempt) Retry(call);
  });
}

void Client::Execute(const std::shared_ptr<Call>& call, uint64_t attempt, Node& node) {
  FrontEnd front_end(node, *call->group);
  switch (call->kind) {
    case Call::Kind::kWrite:
      return ExecuteWrite(call, attempt, front_end);
    case Call::Kind::kRead:
      return front_end.Read(call->name, [this, call, attempt](auto read) {
        Reply(call, attempt, [this, call, read = std::move(read)] { TakeRead(call, read); });
      });
    case Call::Kind::kList:
      return front_end.List([this, call, attempt](auto listed) {
        Reply(call, attempt, [this, call, listed = std::move(listed)] { TakeList(call, listed); });
      });
  }
}

void Client::ExecuteWrite(const std::shared_ptr<Call>& call, uint64_t attempt, FrontEnd front_end) {
  front_end.Write(call->write, [this, call, attempt](auto outcome) {
    Reply(call, attempt,
          [this, call, outcome = std::move(outcome)] { TakeOutcome(call, outcome); });
  });
}

void Client::Reply(const std::shared_ptr<Call>& call, uint64_t attempt,
                   std::function<void()> take) {
  cluster_.scheduler().After(Between(100, 1000), [call, attempt, take = std::move(take)] {
    if (call->attempt == attempt) take();
  });
}

void Client::Retry(const std::shared_ptr<Call>& call) {
  ++call->attempt;  // the one before is given up
  leaders_[call->group->partition] = nullptr;
  if (cluster_.scheduler().now() > call->deadline) return call->done();
  cluster_.scheduler().After(Between(5000, 60'000), [this, call] { Attempt(call); });
}

void Client::TryElsewhere(const std::shared_ptr<Call>& call) {
  ++log_.moved;
  maps_[call->container] = cluster_.MapOf(call->container);
  Retry(call);
}

void Client::TakeOutcome(const std::shared_ptr<Call>& call,
                         const absl::StatusOr<pb::Outcome>& outcome) {
  if (!outcome.ok() || outcome->code() == pb::Outcome::RUN_REFUSED) return Retry(call);
  if (outcome->code() == pb::Outcome::MOVED) return TryElsewhere(call);
  Operation& operation = Record(*call);
  operation.timestamp = Timestamp(static_cast<uint64_t>(outcome->timestamp_us()));
  switch (outcome->code()) {
    case pb::Outcome::OK:
      operation.outcome = Operation::Outcome::kDone;
      if (operation.kind == Operation::Kind::kPut) {
        operation.version = VersionId::FromBytes(outcome->version_id()).value_or(VersionId());
        known_[operation.name] = operation.version;
      }
      break;
    case pb::Outcome::OBJECT_NOT_FOUND:
      operation.outcome = Operation::Outcome::kAbsent;
      break;
    case pb::Outcome::PRECONDITION_FAILED:
      operation.outcome = Operation::Outcome::kPreconditionFailed;
      if (!outcome->current_etag().empty()) {
        operation.version = log_.version_of_etag[outcome->current_etag()];
      }
      break;
    default:
      cluster_.Report(
          absl::StrCat("a client was answered ", pb::Outcome::Code_Name(outcome->code())));
  }
  Finish(call);
}

void Client::TakeRead(const std::shared_ptr<Call>& call,
                      const absl::StatusOr<std::optional<ReadObject>>& read) {
  if (!read.ok()) return IsMoved(read.status()) ? TryElsewhere(call) : Retry(call);
  Operation& operation = Record(*call);
  operation.outcome = Operation::Outcome::kAbsent;
  if (read->has_value()) {
    operation.outcome = Operation::Outcome::kDone;
    operation.version = (*read)->version;
    operation.timestamp = (*read)->timestamp;
    operation.body_digest = DigestOf((*read)->body);
    known_[operation.name] = operation.version;
  }
  Finish(call);
}

void Client::TakeList(const std::shared_ptr<Call>& call, const absl::StatusOr<Listing>& listed) {
  if (!listed.ok()) return Retry(call);
  std::map<std::string, Operation> seen;
  for (const std::string& name : ObjectNames(call->container)) {
    if (!listed->names.Contains(name)) continue;
    seen[name] = {.kind = Operation::Kind::kGet,
                  .name = name,
                  .invoked = call->invoked,
                  .returned = cluster_.scheduler().now(),
                  .outcome = Operation::Outcome::kAbsent};
  }
  for (const ReadObject& object : listed->objects) {
    if (!seen.contains(object.name)) {
      cluster_.Report(absl::StrCat("a listing names ", object.name, ", another partition's"));
    }
    Operation& operation = seen[object.name];
    if (operation.outcome == Operation::Outcome::kDone) {
      cluster_.Report(absl::StrCat("a listing names ", object.name, " twice"));
    }
    operation.name = object.name;
    operation.outcome = Operation::Outcome::kDone;
    operation.version = object.version;
    operation.timestamp = object.timestamp;
  }
  for (auto& [name, operation] : seen) log_.history.push_back(std::move(operation));
  Finish(call);
}

void Client::Finish(const std::shared_ptr<Call>& call) {
  leaders_[call->group->partition] = call->node;
  ++call->attempt;
  if (call->record.has_value()) Record(*call).returned = cluster_.scheduler().now();
  call->done();
}

}  // namespace meridian::simulation
