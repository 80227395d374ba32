// A real etcd of several members with mutual TLS, for tests: processes of this machine, on loopback
// ports of their own, with their data in a temporary folder.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/executor.h"
#include "coordination/etcd/etcd_store.h"
#include "crypto/certificate_authority.h"

namespace meridian::coordination {

// Not thread-safe. Members are numbered from 0. They end with this object, and with the process if
// that dies first.
class EtcdCluster {
 public:
  struct Options {
    int members = 3;
    // What a member's database may hold; 0: etcd's default.
    int64_t quota_bytes = 0;
  };

  // Starts all members, and returns once each answers.
  static absl::StatusOr<std::unique_ptr<EtcdCluster>> Start(const Options& options);
  static absl::StatusOr<std::unique_ptr<EtcdCluster>> Start() { return Start(Options()); }
  ~EtcdCluster();
  EtcdCluster(const EtcdCluster&) = delete;
  EtcdCluster& operator=(const EtcdCluster&) = delete;

  int size() const { return static_cast<int>(members_.size()); }
  // "127.0.0.1:PORT"; the same for the cluster's life.
  const std::string& endpoint(int member) const { return members_[member].endpoint; }
  std::vector<std::string> endpoints() const;
  // What a client has to trust and to present.
  EtcdTls tls() const;
  // For a store of its own on all members: `key_prefix` keeps it apart from others.
  EtcdOptions ClientOptions(std::string key_prefix) const;
  // The whole data of a member: copied away and back while it is stopped, its past.
  std::string data_folder(int member) const { return members_[member].folder + "/data"; }
  std::string log_file(int member) const { return members_[member].folder + "/log"; }
  bool running(int member) const { return members_[member].pid != 0; }

  // SIGTERM, and waits for the end. Of a member that does not run: nothing.
  void Stop(int member);
  // SIGKILL.
  void Kill(int member);
  // SIGSTOP and SIGCONT: its connections stay, and nothing answers.
  void Suspend(int member);
  void Resume(int member);
  // Starts a member that does not run, on the data and ports that it had. Does not wait until it
  // answers, which takes a majority.
  absl::Status Restart(int member);
  // Until every running member answers a linearizable read.
  absl::Status AwaitReady() const;

 private:
  struct Member {
    std::string name;
    std::string folder;
    std::string endpoint;
    std::string peer_endpoint;
    pid_t pid = 0;  // 0: does not run
  };

  EtcdCluster() = default;
  absl::Status Prepare(const Options& options);
  void ChoosePorts();
  absl::Status StartAll();
  void KillAll();
  std::vector<std::string> CommandLine(const Member& member) const;
  void Signal(int member, int signal);
  absl::Status AwaitReady(int member) const;
  // The end of what it wrote.
  std::string LogOf(const Member& member) const;

  SystemClock clock_;
  Options options_;
  std::string folder_;
  std::unique_ptr<crypto::CertificateAuthority> ca_;
  crypto::TlsIdentity client_;
  std::vector<Member> members_;
  // Starts the processes: they die with the thread that started them.
  const std::unique_ptr<Executor> starter_ = MakeThreadExecutor("etcd-starter");
};

}  // namespace meridian::coordination
