// meridiand: the storage node.
//
//   meridiand dev --data DIR [--listen HOST:PORT] [--topology FILE]
//
// runs a whole development cluster in one process. Prints `meridian ready HOST:PORT` on standard
// output when it serves. SIGTERM or SIGINT: takes no more calls, lets running ones end, makes a
// checkpoint of every disk, exits 0; all that takes ten seconds at
// most. While it starts: exits 0 at once.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "server/dev/dev_cluster.h"
#include "server/node.h"
#include "server/stop_signal.h"
#include "server/topology.h"

namespace meridian::server {
namespace {

constexpr char kUsage[] =
    "usage: meridiand dev --data DIR [--listen HOST:PORT] [--topology FILE]\n"
    "\n"
    "Runs a whole cluster in one process. Prints 'meridian ready HOST:PORT' when it serves.\n"
    "  --data DIR          its folder: made if it is not there, taken up again if it is\n"
    "  --listen HOST:PORT  where clients begin; default: where it last was, or any free port\n"
    "  --topology FILE     regions, zones and nodes; default: two regions, ten nodes\n"
    "DIR/admin.profile is for 'meridian --profile'. SIGTERM or SIGINT ends it cleanly.\n";
constexpr int kExitUsage = 2;
constexpr absl::Duration kDrainTime = absl::Seconds(5);

absl::StatusOr<DevOptions> ParseDevOptions(int argc, char** argv) {
  DevOptions options;
  for (int i = 2; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 == argc) return absl::InvalidArgumentError(absl::StrCat(flag, " needs a value"));
    const std::string value = argv[i + 1];
    if (flag == "--data") {
      options.data_folder = value;
    } else if (flag == "--listen") {
      options.listen_address = value;
    } else if (flag == "--topology") {
      ASSIGN_OR_RETURN(options.topology, Topology::ReadFile(value));
    } else {
      return absl::InvalidArgumentError(absl::StrCat("unknown flag ", flag));
    }
  }
  if (options.data_folder.empty()) return absl::InvalidArgumentError("--data DIR is missing");
  return options;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "meridiand: %s\n", status.ToString().c_str());
  return 1;
}

int RunDev(const DevOptions& options) {
  StopSignal stop(kDrainTime + Node::kCheckpointTime);
  SystemClock clock;
  SystemRandom random;
  absl::StatusOr<std::unique_ptr<DevCluster>> cluster = DevCluster::Start(options, clock, random);
  if (!cluster.ok()) return Fail(cluster.status());
  stop.SetDrain([&cluster] { (*cluster)->Drain(absl::Now() + kDrainTime); });
  std::printf("meridian ready %s\n", (*cluster)->endpoint().c_str());
  std::fflush(stdout);
  stop.Wait();
}

}  // namespace
}  // namespace meridian::server

int main(int argc, char** argv) {
#ifdef NDEBUG
  // Debian's Abseil has it on, at the cost of a tenth of the server's CPU.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  if (argc >= 2 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0)) {
    std::fputs(meridian::server::kUsage, stdout);
    return 0;
  }
  if (argc < 2 || std::strcmp(argv[1], "dev") != 0) {
    std::fputs(meridian::server::kUsage, stderr);
    return meridian::server::kExitUsage;
  }
  const auto options = meridian::server::ParseDevOptions(argc, argv);
  if (!options.ok()) {
    std::fprintf(stderr, "meridiand: %s\n%s", options.status().ToString().c_str(),
                 meridian::server::kUsage);
    return meridian::server::kExitUsage;
  }
  return meridian::server::RunDev(*options);
}
