// Clients that write, read and delete objects of one container, all at once, whatever befalls the
// cluster meanwhile; and the verdict on what they were answered.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "client/client.h"
#include "client/profile.h"
#include "tests/simulation/history.h"

namespace meridian {

// Every call is recorded with when it began and ended, and judged by the simulation's checker. Runs
// from its construction on; nobody else writes the names that begin with `prefix`. Thread-safe.
class Workload {
 public:
  struct Options {
    std::string container;
    // Of all names.
    std::string prefix = "load/";
    // They put objects of their own, delete some of them, and write a few names that all of them
    // share, with and without conditions.
    int writers = 8;
    // They read all of these.
    int readers = 2;
    // They list them all, again and again.
    int listers = 0;
    // Of a call, retries included.
    absl::Duration timeout = absl::Seconds(60);
  };

  Workload(const Profile& profile, Options options);
  ~Workload() { Stop(); }
  Workload(const Workload&) = delete;

  // Ends it, and waits for the calls that run.
  void Stop();

  // Writes that took effect so far.
  size_t acknowledged() const;
  // Until `count` more of them have.
  bool Advances(size_t count = 50, absl::Duration at_most = absl::Seconds(60)) const;
  // Calls that the client library gave up.
  std::vector<std::string> errors() const;
  // The longest time without a write that took effect, of those that ended after `from` or have not
  // ended yet.
  absl::Duration LongestPause(absl::Time from) const;

  // A shared name: always somebody writes it.
  std::string SharedName() const { return options_.prefix + "shared-0"; }
  // Reads the whole of an object, or puts one, in another way than its own clients do, for the
  // record. What fails is not among the errors.
  struct Seen {
    v1::Object object;
    std::string body;
  };
  using ReadCall = std::function<absl::StatusOr<Seen>()>;
  using PutCall =
      std::function<absl::StatusOr<v1::Object>(const v1::WriteSpec& spec, const std::string& body)>;
  absl::Status RecordRead(const std::string& name, const ReadCall& read);
  absl::Status RecordPut(const std::string& name, const PutCall& put);

  // After Stop, with the cluster able to serve: reads back every name, lists them all, and tells
  // what was wrong since the beginning. Empty if every acknowledged write is there with its bytes,
  // each condition was decided once, no read returned anything older than what was acknowledged
  // before it began, and no list missed or repeated what was there all the time.
  std::vector<std::string> Check();

 private:
  using Operation = simulation::Operation;
  struct Entry {
    Operation operation;
    // Of a put: its own, carried by the object as metadata; of a get: of the put that it saw.
    std::string token;
    // Of a refusal: what was there instead, empty if nothing.
    std::string current_etag;
    // Of `operation.version`.
    std::string etag;
  };
  // An object that only one writer writes.
  struct Owned {
    std::string name;
    Timestamp written;
  };

  void RunWriter(int writer);
  void RunReader(int reader);
  void RunLister();
  void PutOwned(int writer, int number, SeededRandom& random, std::deque<Owned>& owned);
  void DeleteOwned(std::deque<Owned>& owned);
  void PutShared(SeededRandom& random);
  void CreateShared();
  void ReplaceShared(SeededRandom& random);

  std::string DrawShared(SeededRandom& random) const;
  std::string DrawName(SeededRandom& random) const;
  // What a put makes, beside what all make.
  struct PutKind {
    size_t size = 0;
    bool if_none_match = false;
    std::optional<v1::Object> if_match = {};
  };
  absl::StatusOr<v1::Object> Put(const std::string& name, const PutKind& kind);
  absl::StatusOr<v1::Object> Put(const std::string& name, const PutKind& kind, const PutCall& put);
  absl::StatusOr<v1::Object> Get(const std::string& name);
  void ReadBack(const std::string& name);

  Entry Begin(Operation::Kind kind, const std::string& name) const;
  void NoteObject(const v1::Object& object, Entry& entry) const;
  // Of a call that brought no object.
  static void NoteFailure(const absl::Status& status, Entry& entry);
  // Unless it is an answer like any other.
  void NoteError(const std::string& name, const absl::Status& status);
  void Record(Entry entry);
  absl::Duration Elapsed() const;

  void ReadAllBack(const std::vector<std::string>& names);
  simulation::History MakeHistory() const;
  void CheckListing(std::vector<std::string>& violations);
  // All names, in order and each once, or what was wrong.
  absl::StatusOr<std::set<std::string>> List(std::vector<std::string>& violations);

  const Options options_;
  Client client_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> last_token_{0};
  std::atomic<uint64_t> creations_{0};

  mutable absl::Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Time> times_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> errors_ ABSL_GUARDED_BY(mutex_);
  // Written lately, for readers.
  std::deque<std::string> recent_ ABSL_GUARDED_BY(mutex_);
  // Objects that were written and nobody has begun to delete, for listers; and what those found
  // wrong.
  std::set<std::string> standing_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> list_violations_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace meridian
