#include "coordination/etcd/etcd_store.h"

#include <arpa/inet.h>

#include <atomic>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/callback_queue.h"
#include "base/executor.h"
#include "base/status.h"
#include "coordination/etcd/announcement.h"
#include "coordination/etcd/call.h"
#include "coordination/etcd/call_gate.h"
#include "coordination/etcd/committer.h"
#include "coordination/etcd/identity_guard.h"
#include "coordination/etcd/kv_codec.h"
#include "coordination/etcd/list_pages.h"
#include "coordination/etcd/members.h"
#include "coordination/etcd/watch_stream.h"
#include "coordination/watch_registry.h"

namespace meridian::coordination {
namespace {

// A store that closes waits so long for its announcements to be taken back.
constexpr absl::Duration kFarewell = absl::Seconds(1);

// Thread-safe: everything happens on one strand.
class EtcdStoreImpl final : public EtcdStore {
 public:
  explicit EtcdStoreImpl(EtcdOptions options)
      : options_(std::move(options)),
        guard_(options_.remembered),
        strand_(MakeThreadExecutor("etcd")),
        members_(options_, *strand_, gate_, guard_),
        watches_(*strand_),
        watch_stream_(environment_, options_.key_prefix, watches_) {
    strand_->Post([this] {
      members_.Start([this](const EtcdMember& member) { watch_stream_.OnMemberDown(member); });
    });
  }

  ~EtcdStoreImpl() override {
    announcements_.AwaitNone(kFarewell);
    gate_.Close();
    strand_.reset();  // joins the thread before what its tasks use goes
  }

  void Get(std::string key,
           std::function<void(absl::StatusOr<std::optional<KeyValue>>)> done) override {
    if (!Admit(done)) return;
    strand_->Post([this, key = options_.key_prefix + key, done = std::move(done)] {
      etcdserverpb::RangeRequest request;
      request.set_key(key);
      CallRange(environment_, std::move(request),
                [this, done](auto answer) { done(DecodeRow(std::move(answer))); });
    });
  }

  void List(std::string prefix,
            std::function<void(absl::StatusOr<std::vector<KeyValue>>)> done) override {
    if (!Admit(done)) return;
    strand_->Post([this, prefix = std::move(prefix), done = std::move(done)] {
      std::make_shared<ListPages>(environment_, options_.key_prefix, prefix, options_.page_rows,
                                  done)
          ->Begin();
    });
  }

  void Commit(Transaction transaction,
              std::function<void(absl::StatusOr<CommitResult>)> done) override {
    if (!Admit(done)) return;
    strand_->Post([this, transaction = std::move(transaction), done = std::move(done)] {
      std::make_shared<Committer>(environment_, options_.key_prefix, transaction, done)->Begin();
    });
  }

  std::unique_ptr<WatchHandle> Watch(std::string prefix, std::function<void()> changed) override {
    std::unique_ptr<WatchHandle> handle = watches_.Add(std::move(prefix), std::move(changed));
    strand_->Post([this] { watch_stream_.Start(); });
    return handle;
  }

  std::unique_ptr<Presence> Announce(std::string key, std::string value,
                                     absl::Duration ttl) override {
    announcements_.Add();
    auto announcement = std::make_shared<Announcement>(
        environment_, announcements_, options_.key_prefix + key, std::move(value), ttl);
    strand_->Post([announcement] { announcement->Begin(); });
    return std::make_unique<PresenceHandle>(*strand_, std::move(announcement));
  }

  StoreIdentity seen() const override { return guard_.seen(); }

 private:
  class PresenceHandle final : public Presence {
   public:
    PresenceHandle(Executor& strand, std::shared_ptr<Announcement> announcement)
        : strand_(strand), announcement_(std::move(announcement)) {}
    ~PresenceHandle() override {
      strand_.Post([announcement = std::move(announcement_)] { announcement->End(); });
    }

   private:
    Executor& strand_;
    std::shared_ptr<Announcement> announcement_;
  };

  // Counts the call until `done`. False: there are too many, and `done` will be told so.
  template <typename Result>
  bool Admit(std::function<void(absl::StatusOr<Result>)>& done) {
    if (in_flight_.fetch_add(1) >= options_.max_calls_in_flight) {
      --in_flight_;
      strand_->Post([this, done = std::move(done)] {
        done(absl::UnavailableError(
            absl::StrCat("nothing was sent to etcd: ", options_.max_calls_in_flight,
                         " calls are in flight already")));
      });
      return false;
    }
    done = [this, done = std::move(done)](absl::StatusOr<Result> result) {
      --in_flight_;
      done(std::move(result));
    };
    return true;
  }

  absl::StatusOr<std::optional<KeyValue>> DecodeRow(
      absl::StatusOr<etcdserverpb::RangeResponse> answer) const {
    if (!answer.ok()) return absl::UnavailableError(answer.status().message());
    if (answer->kvs().empty()) return std::nullopt;
    return FromKeyValue(options_.key_prefix, answer->kvs(0));
  }

  const EtcdOptions options_;
  std::atomic<size_t> in_flight_{0};
  AnnouncementCount announcements_;
  CallGate gate_;
  IdentityGuard guard_;
  std::unique_ptr<Executor> strand_;
  Members members_;
  CallEnvironment environment_{*strand_, gate_, guard_, members_, options_.call_timeout};
  WatchRegistry watches_;
  WatchStream watch_stream_;
};

bool IsLoopback(const std::string& endpoint) {
  const std::string host = endpoint.substr(0, endpoint.rfind(':'));
  in_addr address = {};
  return host == "localhost" || host == "[::1]" ||
         (inet_pton(AF_INET, host.c_str(), &address) == 1 && host.starts_with("127."));
}

absl::Status Check(const EtcdOptions& options) {
  if (options.endpoints.empty()) return absl::InvalidArgumentError("no etcd endpoint is given");
  if (!options.key_prefix.ends_with('/')) {
    return absl::InvalidArgumentError(
        absl::StrCat("the key prefix for etcd, \"", options.key_prefix, "\", does not end with /"));
  }
  if (options.call_timeout <= absl::ZeroDuration() || options.max_calls_in_flight == 0 ||
      options.page_rows <= 0) {
    return absl::InvalidArgumentError("etcd's timeout and limits have to be above 0");
  }
  for (const std::string& endpoint : options.endpoints) {
    if (endpoint.find("://") != std::string::npos || endpoint.find(':') == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("the etcd endpoint \"", endpoint, "\" is not HOST:PORT"));
    }
    if (!options.tls.has_value() && !IsLoopback(endpoint)) {
      return absl::InvalidArgumentError(
          absl::StrCat("etcd at ", endpoint, " is not on this machine: it takes TLS"));
    }
  }
  if (!options.tls.has_value()) return absl::OkStatus();
  if (options.tls->ca_certificate.empty()) {
    return absl::InvalidArgumentError("no CA certificate for etcd is given");
  }
  if (options.tls->certificate.empty() != options.tls->private_key.empty()) {
    return absl::InvalidArgumentError(
        "the client certificate for etcd and its private key go together");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<EtcdStore>> OpenEtcdStore(EtcdOptions options) {
  RETURN_IF_ERROR(Check(options));
  KeepCallbackQueue();
  return std::make_unique<EtcdStoreImpl>(std::move(options));
}

}  // namespace meridian::coordination
