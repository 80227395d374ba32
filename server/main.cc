// meridiand: the storage node.
//
//   meridiand --config FILE                   one node of a cluster
//   meridiand init --config FILE ...          makes a cluster, once
//   meridiand administrator --config FILE ... makes one more administrator's key
//   meridiand dev --data DIR ...              a whole development cluster in one process
//
// A server prints `meridian ready HOST:PORT` on standard output when it serves. SIGTERM or SIGINT:
// takes no more calls, lets running ones end, makes a checkpoint of every disk, exits 0; all that
// takes ten seconds at most. While it starts: exits 0 at once.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "server/dev/dev_cluster.h"
#include "server/node.h"
#include "server/standalone/cluster_node.h"
#include "server/standalone/cluster_setup.h"
#include "server/standalone/node_config.h"
#include "server/stop_signal.h"
#include "server/telemetry/grpc_log.h"
#include "server/topology.h"

namespace meridian::server {
namespace {

constexpr char kUsage[] =
    "usage: meridiand --config FILE\n"
    "       meridiand init --config FILE --profile OUT [--endpoint HOST:PORT]...\n"
    "       meridiand administrator --config FILE --profile OUT [--endpoint HOST:PORT]...\n"
    "       meridiand dev --data DIR [--listen HOST:PORT] [--topology FILE]\n"
    "                     [--metrics-listen HOST:PORT] [--slow-request-ms N]\n"
    "                     [--rebuild-mib-per-second N]\n"
    "\n"
    "--config FILE: one node of a cluster, see docs/operations.md.\n"
    "init: makes the cluster that FILE names, and its first administrator's key; once.\n"
    "administrator: makes another administrator's key of a cluster that is there.\n"
    "  --profile OUT         a new file for 'meridian --profile', with the key\n"
    "  --endpoint HOST:PORT  where clients begin; default: the public address in FILE\n"
    "dev: runs a whole cluster in one process.\n"
    "  --data DIR            its folder: made if it is not there, taken up again if it is\n"
    "  --listen HOST:PORT    where clients begin; default: where it last was, or any free port\n"
    "  --topology FILE       regions, zones and nodes; default: two regions, ten nodes\n"
    "  --metrics-listen HOST:PORT  https://HOST:PORT/metrics for Prometheus; default: none\n"
    "  --slow-request-ms N   log calls that take so long; 0: all; default: 1000\n"
    "  --rebuild-mib-per-second N  what a node brings itself of copies it is to have; default: 32\n"
    "DIR/admin.profile is for 'meridian --profile'.\n"
    "\n"
    "Servers print 'meridian ready HOST:PORT' when they serve. SIGTERM or SIGINT ends them "
    "cleanly.\n";
constexpr int kExitUsage = 2;
constexpr absl::Duration kDrainTime = absl::Seconds(5);

// INVALID_ARGUMENT: of the command line.
class Flags {
 public:
  static absl::StatusOr<Flags> Parse(int argc, char** argv, int first,
                                     const std::set<std::string>& known) {
    Flags flags;
    for (int i = first; i < argc; i += 2) {
      const std::string flag = argv[i];
      if (!known.contains(flag)) {
        return absl::InvalidArgumentError(absl::StrCat("unknown flag ", flag));
      }
      if (i + 1 == argc) return absl::InvalidArgumentError(absl::StrCat(flag, " needs a value"));
      flags.values_[flag].push_back(argv[i + 1]);
    }
    return flags;
  }

  absl::StatusOr<std::string> Required(const std::string& flag) const {
    const std::optional<std::string> value = Optional(flag);
    if (value && !value->empty()) return *value;
    return absl::InvalidArgumentError(absl::StrCat(flag, " is missing"));
  }
  // The last one given.
  std::optional<std::string> Optional(const std::string& flag) const {
    const std::vector<std::string> values = All(flag);
    return values.empty() ? std::nullopt : std::optional(values.back());
  }
  std::vector<std::string> All(const std::string& flag) const {
    const auto values = values_.find(flag);
    return values == values_.end() ? std::vector<std::string>() : values->second;
  }

 private:
  std::map<std::string, std::vector<std::string>> values_;
};

// What is left to be done once the command line is understood; returns the exit code.
using Run = std::function<int()>;

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "meridiand: %s\n", status.ToString().c_str());
  return 1;
}

// Runs what `start` starts, a DevCluster or a ClusterNode, until a signal.
template <typename Start>
int Serve(const Start& start) {
  StopSignal stop(kDrainTime + Node::kCheckpointTime);
  SystemClock clock;
  SystemRandom random;
  auto server = start(clock, random);
  if (!server.ok()) return Fail(server.status());
  stop.SetDrain([&server] { (*server)->Drain(absl::Now() + kDrainTime); });
  std::printf("meridian ready %s\n", (*server)->endpoint().c_str());
  std::fflush(stdout);
  stop.Wait();
}

absl::StatusOr<Run> ParseDev(int argc, char** argv) {
  ASSIGN_OR_RETURN(const Flags flags,
                   Flags::Parse(argc, argv, 2,
                                {"--data", "--listen", "--topology", "--metrics-listen",
                                 "--slow-request-ms", "--rebuild-mib-per-second"}));
  DevOptions options;
  ASSIGN_OR_RETURN(options.data_folder, flags.Required("--data"));
  options.listen_address = flags.Optional("--listen");
  // Of each of its nodes, which share a disk.
  options.disk.scrub.bytes_per_second = 1 << 20;
  options.metrics_listen_address = flags.Optional("--metrics-listen");
  if (const auto slow = flags.Optional("--slow-request-ms")) {
    uint32_t slow_ms = 0;
    if (!absl::SimpleAtoi(*slow, &slow_ms)) {
      return absl::InvalidArgumentError("--slow-request-ms needs a number");
    }
    options.slow_request = absl::Milliseconds(slow_ms);
  }
  if (const auto rate = flags.Optional("--rebuild-mib-per-second")) {
    uint32_t mib = 0;
    if (!absl::SimpleAtoi(*rate, &mib) || mib == 0) {
      return absl::InvalidArgumentError("--rebuild-mib-per-second must be a number above 0");
    }
    options.rebuild_rate = uint64_t{mib} << 20;
  }
  if (const auto topology = flags.Optional("--topology")) {
    ASSIGN_OR_RETURN(options.topology, Topology::ReadFile(*topology));
  }
  return [options] {
    return Serve([&options](Clock& clock, Random& random) {
      return DevCluster::Start(options, clock, random);
    });
  };
}

absl::StatusOr<Run> ParseNode(int argc, char** argv) {
  ASSIGN_OR_RETURN(const Flags flags, Flags::Parse(argc, argv, 1, {"--config"}));
  ASSIGN_OR_RETURN(const std::string path, flags.Required("--config"));
  return [path] {
    const auto config = ReadNodeConfig(path);
    if (!config.ok()) return Fail(config.status());
    return Serve([&config](Clock& clock, Random& random) {
      return ClusterNode::Start(*config, clock, random);
    });
  };
}

using Setup = absl::Status (*)(const internal::v1::NodeConfig&, const ProfileOutput&, Clock&,
                               Random&);

absl::StatusOr<Run> ParseSetup(int argc, char** argv, Setup setup) {
  ASSIGN_OR_RETURN(const Flags flags,
                   Flags::Parse(argc, argv, 2, {"--config", "--profile", "--endpoint"}));
  ASSIGN_OR_RETURN(const std::string path, flags.Required("--config"));
  ProfileOutput output;
  ASSIGN_OR_RETURN(output.path, flags.Required("--profile"));
  output.endpoints = flags.All("--endpoint");
  return [path, output, setup] {
    const auto config = ReadNodeConfig(path);
    if (!config.ok()) return Fail(config.status());
    SystemClock clock;
    SystemRandom random;
    const absl::Status done = setup(*config, output, clock, random);
    if (!done.ok()) return Fail(done);
    std::printf("profile: %s\n", output.path.c_str());
    return 0;
  };
}

absl::StatusOr<Run> Parse(int argc, char** argv) {
  const std::string command = argc < 2 ? "" : argv[1];
  if (command == "dev") return ParseDev(argc, argv);
  if (command == "init") return ParseSetup(argc, argv, InitCluster);
  if (command == "administrator") return ParseSetup(argc, argv, MakeAdministrator);
  return ParseNode(argc, argv);
}

int Main(int argc, char** argv) {
  if (argc >= 2 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0)) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  const absl::StatusOr<Run> run = Parse(argc, argv);
  if (run.ok()) return (*run)();
  std::fprintf(stderr, "meridiand: %s\n%s", run.status().ToString().c_str(), kUsage);
  return kExitUsage;
}

}  // namespace
}  // namespace meridian::server

int main(int argc, char** argv) {
#ifdef NDEBUG
  // Debian's Abseil has it on, at the cost of a tenth of the server's CPU.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  meridian::server::LogGrpcErrors();
  return meridian::server::Main(argc, argv);
}
