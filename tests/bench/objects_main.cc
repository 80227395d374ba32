// PUT and GET of small and large objects against a cluster of its own, three processes of one node
// each with etcd, or a given one.
//
//   bazel run -c opt //tests/bench:objects -- [--data-root FOLDER | --profile FILE [--server-pid
//   PID]...]
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "client/admin.h"
#include "client/client.h"
#include "tests/bench/limits.h"
#include "tests/bench/load.h"
#include "tests/integration/local_cluster.h"
#include "tests/temp_folder.h"

namespace meridian::bench {
namespace {

constexpr int64_t kSmallBytes = 4 << 10;
constexpr int64_t kLargeBytes = 4 << 20;

struct Options {
  std::string profile;
  std::string endpoint;
  std::vector<pid_t> server_pids;
  std::string json;
  std::string data;
  std::string redundancy = "ZRS";
  double seconds = 5;
  std::vector<int64_t> sizes = {kSmallBytes, kLargeBytes};
  std::vector<int> in_flight = {1, 16, 64};
  std::vector<std::string> operations = {"PUT", "GET"};
  int runs = 1;
};

// Distinct objects of a size: enough to spread, few enough for a small disk.
uint64_t NamesOf(int64_t size_bytes) { return size_bytes < (1 << 20) ? 4096 : 64; }

std::string NameOf(int64_t size_bytes, uint64_t i) {
  return absl::StrFormat("%d/%d", size_bytes, i % NamesOf(size_bytes));
}

class DiscardingSink : public ByteSink {
 public:
  absl::Status Write(std::string_view) override { return absl::OkStatus(); }
};

// A container of the benchmark's own, removed at the end.
class Workspace {
 public:
  static absl::StatusOr<std::unique_ptr<Workspace>> Make(const Profile& profile,
                                                         const std::string& redundancy) {
    auto workspace = std::unique_ptr<Workspace>(new Workspace());
    const std::string id = absl::StrFormat("bench-%d", absl::ToUnixMillis(absl::Now()));
    Profile tenant = profile;
    if (profile.tenant.empty()) {
      workspace->admin_ = std::make_unique<Admin>(profile);
      RETURN_IF_ERROR(workspace->MakeTenant(id, tenant));
    }
    workspace->client_ = std::make_unique<Client>(tenant);
    v1::CreateContainerRequest request;
    request.set_parent(tenant.tenant);
    request.set_container_id(id);
    v1::Redundancy policy;
    if (!v1::Redundancy_Parse(redundancy, &policy)) {
      return absl::InvalidArgumentError("unknown redundancy policy " + redundancy);
    }
    request.mutable_container()->set_redundancy(policy);
    ASSIGN_OR_RETURN(const v1::Container container, workspace->client_->CreateContainer(request));
    workspace->container_ = container.name();
    return workspace;
  }

  absl::Status Remove(const std::vector<int64_t>& sizes) {
    for (const int64_t size : sizes) {
      for (uint64_t i = 0; i < NamesOf(size); ++i) {
        v1::DeleteObjectRequest request;
        request.set_container(container_);
        request.set_name(NameOf(size, i));
        const absl::Status status = client_->DeleteObject(request).status();
        if (!status.ok() && status.code() != absl::StatusCode::kNotFound) return status;
      }
    }
    RETURN_IF_ERROR(client_->DeleteContainer(container_));
    return tenant_.empty() ? absl::OkStatus() : admin_->DeleteTenant(tenant_);
  }

  absl::Status Put(int64_t size_bytes, uint64_t i, std::string_view body) {
    v1::WriteSpec spec;
    spec.set_container(container_);
    spec.set_name(NameOf(size_bytes, i));
    return client_->WriteObject(spec, body).status();
  }

  absl::Status Get(int64_t size_bytes, uint64_t i) {
    v1::ReadObjectRequest request;
    request.set_container(container_);
    request.set_name(NameOf(size_bytes, i));
    DiscardingSink sink;
    return client_->ReadObject(request, sink).status();
  }

 private:
  absl::Status MakeTenant(const std::string& id, Profile& profile) {
    v1::CreateTenantRequest tenant;
    tenant.set_tenant_id(id);
    ASSIGN_OR_RETURN(const v1::Tenant made, admin_->CreateTenant(tenant));
    tenant_ = made.name();
    v1::CreateAccessKeyRequest key;
    key.set_parent(tenant_);
    ASSIGN_OR_RETURN(const v1::CreateAccessKeyResponse created, admin_->CreateAccessKey(key));
    profile.tenant = tenant_;
    profile.access_key = created.secret();
    return absl::OkStatus();
  }

  std::unique_ptr<Admin> admin_;
  std::unique_ptr<Client> client_;
  // Empty: it was there before us.
  std::string tenant_;
  std::string container_;
};

absl::StatusOr<std::vector<Result>> RunAll(Workspace& workspace, const Options& options,
                                           const std::vector<pid_t>& servers) {
  const absl::Duration time = absl::Seconds(options.seconds);
  std::vector<Result> results;
  for (const int64_t size : options.sizes) {
    const std::string body(static_cast<size_t>(size), 'm');
    for (const std::string& operation : options.operations) {
      const bool put = operation == "PUT";
      // There has to be something to read, all of it.
      for (uint64_t i = 0; !put && i < NamesOf(size); ++i) {
        RETURN_IF_ERROR(workspace.Put(size, i, body));
      }
      for (const int in_flight : options.in_flight) {
        std::vector<Result> runs;
        for (int run = 0; run < options.runs; ++run) {
          ASSIGN_OR_RETURN(runs.emplace_back(),
                           Run({operation, size, in_flight}, time, servers, [&](uint64_t i) {
                             return put ? workspace.Put(size, i, body) : workspace.Get(size, i);
                           }));
          std::cerr << "." << std::flush;
        }
        results.push_back(Median(std::move(runs)));
      }
    }
  }
  std::cerr << "\n";
  return results;
}

std::string SizeName(int64_t bytes) {
  if (bytes % (1 << 20) == 0) return absl::StrFormat("%d MiB", bytes >> 20);
  return bytes % 1024 == 0 ? absl::StrFormat("%d KiB", bytes >> 10)
                           : absl::StrFormat("%d B", bytes);
}

void PrintTable(const std::vector<Result>& results, const Limits& limits) {
  std::cout << "| op | size | in flight | ops/s | MB/s | p50 us | p99 us | server CPU us/op | "
               "client CPU us/op |\n"
            << "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const Result& result : results) {
    const Point& point = result.point;
    std::cout << absl::StrFormat("| %s | %s | %d | %.0f | %.1f | %.0f | %.0f | %s | %.0f |\n",
                                 point.op, SizeName(point.size_bytes), point.in_flight,
                                 result.ops_per_s, result.mb_per_s, result.p50_us, result.p99_us,
                                 result.server_cpu_us_per_op
                                     ? absl::StrFormat("%.0f", *result.server_cpu_us_per_op)
                                     : std::string("unknown"),
                                 result.client_cpu_us_per_op);
  }
  std::cout << absl::StrFormat(
      "\nLimits of this machine: fdatasync %.0f/s; sequential write %.0f MB/s, read %.0f MB/s; "
      "AES-256-GCM on one core %.0f MB/s\n",
      limits.fdatasync_per_s, limits.seq_write_mb_per_s, limits.seq_read_mb_per_s,
      limits.aes_256_gcm_mb_per_s);
}

absl::Status WriteJson(const std::string& path, const std::vector<Result>& results,
                       const Limits& limits) {
  using Json = nlohmann::ordered_json;
  Json document;
  document["results"] = Json::array();
  for (const Result& result : results) {
    Json line{{"op", result.point.op},
              {"size_bytes", result.point.size_bytes},
              {"in_flight", result.point.in_flight},
              {"ops_per_s", result.ops_per_s},
              {"mb_per_s", result.mb_per_s},
              {"p50_us", result.p50_us},
              {"p99_us", result.p99_us},
              {"client_cpu_us_per_op", result.client_cpu_us_per_op}};
    line["server_cpu_us_per_op"] =
        result.server_cpu_us_per_op ? Json(*result.server_cpu_us_per_op) : Json(nullptr);
    document["results"].push_back(std::move(line));
  }
  document["limits"] = Json{{"fdatasync_per_s", limits.fdatasync_per_s},
                            {"seq_write_mb_per_s", limits.seq_write_mb_per_s},
                            {"seq_read_mb_per_s", limits.seq_read_mb_per_s},
                            {"aes_256_gcm_mb_per_s", limits.aes_256_gcm_mb_per_s}};
  std::ofstream file(path);
  file << document.dump(2) << "\n";
  file.close();
  return file ? absl::OkStatus() : absl::UnknownError("cannot write " + path);
}

// `bazel run` starts us in its own folder; paths are meant from where the user stands.
std::string FromUser(const std::string& path) {
  const char* folder = std::getenv("BUILD_WORKING_DIRECTORY");
  if (path.empty() || path.front() == '/' || folder == nullptr) return path;
  return std::string(folder) + "/" + path;
}

// What is measured: a cluster of our own, or one that runs.
struct Subject {
  Profile profile;
  std::vector<pid_t> servers;
};

absl::StatusOr<Subject> StartCluster(LocalCluster& cluster) {
  RETURN_IF_ERROR(cluster.Up({"--nodes-per-zone", "1"}));
  Subject subject;
  ASSIGN_OR_RETURN(subject.profile, cluster.AdminProfile());
  ASSIGN_OR_RETURN(const v1::ListNodesResponse listed, Admin(subject.profile).ListNodes());
  for (const v1::Node& node : listed.nodes()) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(cluster.PidOf(node.name()), &pid)) {
      return absl::UnavailableError(node.name() + " does not run");
    }
    subject.servers.push_back(pid);
  }
  return subject;
}

absl::Status RunBenchmark(const Options& options) {
  TempFolder scratch;
  const std::string data = options.data.empty() ? scratch.path() : FromUser(options.data);
  std::filesystem::create_directories(data);
  ASSIGN_OR_RETURN(const Limits limits, MeasureLimits(data));
  // A cluster of our own is thrown away as a whole.
  const std::string folder = absl::StrFormat("%s/cluster-%d", data, getpid());
  const auto removal = absl::MakeCleanup([&folder] { std::filesystem::remove_all(folder); });
  LocalCluster cluster(folder);
  Subject subject;
  if (options.profile.empty()) {
    ASSIGN_OR_RETURN(subject, StartCluster(cluster));
  } else {
    ASSIGN_OR_RETURN(subject.profile, LoadProfile(FromUser(options.profile)));
    subject.servers = options.server_pids;
  }
  if (!options.endpoint.empty()) subject.profile.endpoints = {options.endpoint};
  ASSIGN_OR_RETURN(const std::unique_ptr<Workspace> workspace,
                   Workspace::Make(subject.profile, options.redundancy));
  absl::StatusOr<std::vector<Result>> results = RunAll(*workspace, options, subject.servers);
  const absl::Status removed =
      options.profile.empty() ? absl::OkStatus() : workspace->Remove(options.sizes);
  if (!results.ok()) return results.status();
  PrintTable(*results, limits);
  if (!options.json.empty()) {
    RETURN_IF_ERROR(WriteJson(FromUser(options.json), *results, limits));
  }
  return removed;
}

}  // namespace
}  // namespace meridian::bench

int main(int argc, char** argv) {
  meridian::bench::Options options;
  CLI::App app("PUT and GET of objects, so many in flight.");
  app.add_option("--profile", options.profile,
                 "An administrator's or a tenant's; default: a cluster of its own");
  app.add_option("--endpoint", options.endpoint, "Instead of the profile's")->needs("--profile");
  app.add_option("--server-pid", options.server_pids, "Whose processor time to take")
      ->needs("--profile");
  app.add_option("--json", options.json, "Write the figures to this file too");
  app.add_option("--data-root", options.data,
                 "Folder on the disk to use; default: a temporary one");
  app.add_option("--redundancy", options.redundancy, "LRS or ZRS")->capture_default_str();
  app.add_option("--seconds", options.seconds, "For each run")->capture_default_str();
  app.add_option("--runs", options.runs, "Of each line; the median is shown")
      ->check(CLI::Range(1, 99))
      ->capture_default_str();
  app.add_option("--sizes", options.sizes, "Bytes")->delimiter(',')->capture_default_str();
  app.add_option("--in-flight", options.in_flight)->delimiter(',')->capture_default_str();
  app.add_option("--operations", options.operations)
      ->delimiter(',')
      ->check(CLI::IsMember({"PUT", "GET"}))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = meridian::bench::RunBenchmark(options);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
