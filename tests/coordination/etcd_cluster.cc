#include "tests/coordination/etcd_cluster.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "etcd/rpc.grpc.pb.h"
#include "tests/coordination/free_ports.h"

namespace meridian::coordination {
namespace {

// Of a loaded machine; usually it takes two seconds.
constexpr absl::Duration kReadyTimeout = absl::Minutes(1);
constexpr absl::Duration kPollInterval = absl::Milliseconds(50);
// A port may be taken between the choice and the start.
constexpr int kMaxStarts = 5;
constexpr size_t kMaxLogTail = 2000;

// Between fork and exec only what is safe there.
[[noreturn]] void Become(char* const* arguments, char* const* environment, int log, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execvpe(arguments[0], arguments, environment);
  _exit(127);
}

absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& command, const std::string& log_file) {
  const int log = open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) return absl::UnknownError(absl::StrCat(log_file, ": ", std::strerror(errno)));
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  // Nothing of the caller's: etcd takes settings from its environment.
  char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
  char* const environment[] = {path, nullptr};
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) Become(arguments.data(), environment, log, parent);
  close(log);
  if (pid < 0) return absl::UnknownError(absl::StrCat("fork: ", std::strerror(errno)));
  return pid;
}

absl::Status WritePem(const std::string& path, const std::string& pem) {
  std::ofstream file(path);
  file << pem;
  file.close();
  return file ? absl::OkStatus() : absl::UnknownError("cannot write " + path);
}

}  // namespace

absl::StatusOr<std::unique_ptr<EtcdCluster>> EtcdCluster::Start(const Options& options) {
  std::unique_ptr<EtcdCluster> cluster(new EtcdCluster());
  RETURN_IF_ERROR(cluster->Prepare(options));
  absl::Status started;
  for (int i = 0; i < kMaxStarts; ++i) {
    started = cluster->StartAll();
    if (started.ok()) return cluster;
    cluster->KillAll();
  }
  return Annotate(started, "etcd does not start");
}

EtcdCluster::~EtcdCluster() {
  KillAll();
  std::filesystem::remove_all(folder_);
}

absl::Status EtcdCluster::Prepare(const Options& options) {
  options_ = options;
  std::string folder = std::filesystem::temp_directory_path() / "meridian-etcd-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return absl::UnknownError("cannot make " + folder);
  folder_ = folder;
  ASSIGN_OR_RETURN(ca_, crypto::CertificateAuthority::Create("etcd test CA", clock_));
  ASSIGN_OR_RETURN(client_, ca_->IssueNode("client"));
  RETURN_IF_ERROR(WritePem(folder_ + "/ca.crt", ca_->certificate_pem()));
  for (int i = 0; i < options.members; ++i) {
    Member member;
    member.name = absl::StrCat("etcd-", i);
    member.folder = absl::StrCat(folder_, "/", member.name);
    std::filesystem::create_directory(member.folder);
    ASSIGN_OR_RETURN(const crypto::TlsIdentity identity, ca_->IssueNode(member.name));
    RETURN_IF_ERROR(WritePem(member.folder + "/tls.crt", identity.certificate_pem));
    RETURN_IF_ERROR(WritePem(member.folder + "/tls.key", identity.private_key_pem));
    members_.push_back(std::move(member));
  }
  return absl::OkStatus();
}

void EtcdCluster::ChoosePorts() {
  const std::vector<uint16_t> ports = DrawFreePorts(2 * size());
  for (int i = 0; i < size(); ++i) {
    members_[i].endpoint = absl::StrCat("127.0.0.1:", ports[2 * i]);
    members_[i].peer_endpoint = absl::StrCat("127.0.0.1:", ports[2 * i + 1]);
  }
}

absl::Status EtcdCluster::StartAll() {
  ChoosePorts();
  for (int i = 0; i < size(); ++i) {
    std::filesystem::remove_all(data_folder(i));
    RETURN_IF_ERROR(Restart(i));
  }
  return AwaitReady();
}

std::vector<std::string> EtcdCluster::CommandLine(const Member& member) const {
  std::vector<std::string> peers;
  for (const Member& peer : members_) {
    peers.push_back(absl::StrCat(peer.name, "=https://", peer.peer_endpoint));
  }
  std::vector<std::string> command = {
      "etcd",
      "--name=" + member.name,
      "--data-dir=" + member.folder + "/data",
      "--listen-client-urls=https://" + member.endpoint,
      "--advertise-client-urls=https://" + member.endpoint,
      "--listen-peer-urls=https://" + member.peer_endpoint,
      "--initial-advertise-peer-urls=https://" + member.peer_endpoint,
      "--initial-cluster=" + absl::StrJoin(peers, ","),
      "--initial-cluster-token=" + std::filesystem::path(folder_).filename().string(),
      "--initial-cluster-state=new",
      "--client-cert-auth",
      "--trusted-ca-file=" + folder_ + "/ca.crt",
      "--cert-file=" + member.folder + "/tls.crt",
      "--key-file=" + member.folder + "/tls.key",
      "--peer-client-cert-auth",
      "--peer-trusted-ca-file=" + folder_ + "/ca.crt",
      "--peer-cert-file=" + member.folder + "/tls.crt",
      "--peer-key-file=" + member.folder + "/tls.key",
      "--auto-compaction-mode=periodic",
      "--auto-compaction-retention=1h",
      "--logger=zap",
      "--log-level=warn",
      "--log-outputs=stderr",
  };
  if (options_.quota_bytes > 0) {
    command.push_back(absl::StrCat("--quota-backend-bytes=", options_.quota_bytes));
  }
  return command;
}

std::vector<std::string> EtcdCluster::endpoints() const {
  std::vector<std::string> all;
  for (const Member& member : members_) all.push_back(member.endpoint);
  return all;
}

EtcdTls EtcdCluster::tls() const {
  return {.ca_certificate = ca_->certificate_pem(),
          .certificate = client_.certificate_pem,
          .private_key = client_.private_key_pem};
}

EtcdOptions EtcdCluster::ClientOptions(std::string key_prefix) const {
  return {.endpoints = endpoints(), .tls = tls(), .key_prefix = std::move(key_prefix)};
}

void EtcdCluster::Stop(int member) { Signal(member, SIGTERM); }

void EtcdCluster::Kill(int member) { Signal(member, SIGKILL); }

void EtcdCluster::Suspend(int member) { Signal(member, SIGSTOP); }

void EtcdCluster::Resume(int member) { Signal(member, SIGCONT); }

void EtcdCluster::Signal(int member, int signal) {
  pid_t& pid = members_[member].pid;
  if (pid == 0) return;
  kill(pid, signal);
  if (signal != SIGTERM && signal != SIGKILL) return;
  waitpid(pid, nullptr, 0);
  pid = 0;
}

void EtcdCluster::KillAll() {
  for (int i = 0; i < size(); ++i) Kill(i);
}

absl::Status EtcdCluster::Restart(int member) {
  Member& started = members_[member];
  if (started.pid != 0) return absl::FailedPreconditionError(started.name + " runs already");
  std::promise<absl::StatusOr<pid_t>> spawned;
  starter_->Post([&] { spawned.set_value(Spawn(CommandLine(started), log_file(member))); });
  ASSIGN_OR_RETURN(started.pid, spawned.get_future().get());
  return absl::OkStatus();
}

absl::Status EtcdCluster::AwaitReady() const {
  for (int i = 0; i < size(); ++i) {
    if (running(i)) RETURN_IF_ERROR(AwaitReady(i));
  }
  return absl::OkStatus();
}

absl::Status EtcdCluster::AwaitReady(int member) const {
  grpc::SslCredentialsOptions credentials;
  credentials.pem_root_certs = ca_->certificate_pem();
  credentials.pem_cert_chain = client_.certificate_pem;
  credentials.pem_private_key = client_.private_key_pem;
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto stub = etcdserverpb::KV::NewStub(
      grpc::CreateCustomChannel(endpoint(member), grpc::SslCredentials(credentials), arguments));
  const absl::Time end = absl::Now() + kReadyTimeout;
  while (absl::Now() < end) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(1)));
    // Only a call that waits drives the connection attempt.
    context.set_wait_for_ready(true);
    etcdserverpb::RangeRequest request;
    request.set_key("ready");
    etcdserverpb::RangeResponse response;
    if (stub->Range(&context, request, &response).ok()) return absl::OkStatus();
    // A look only: reaped where the member is stopped.
    siginfo_t ended = {};
    if (waitid(P_PID, static_cast<id_t>(members_[member].pid), &ended,
               WEXITED | WNOHANG | WNOWAIT) != 0 ||
        ended.si_pid != 0) {
      break;
    }
    absl::SleepFor(kPollInterval);
  }
  return absl::UnavailableError(
      absl::StrCat(members_[member].name, " does not answer; it wrote: ", LogOf(members_[member])));
}

std::string EtcdCluster::LogOf(const Member& member) const {
  std::ifstream file(member.folder + "/log");
  const std::string log((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return log.size() > kMaxLogTail ? log.substr(log.size() - kMaxLogTail) : log;
}

}  // namespace meridian::coordination
