// PUT and GET of small and large objects against a dev cluster of its own or a given one.
//
//   bazel run -c opt //tests/bench:objects -- [--profile FILE [--server-pid PID]] [--json FILE]
#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "base/status.h"
#include "client/admin.h"
#include "client/client.h"
#include "tests/bench/limits.h"
#include "tests/bench/load.h"
#include "tests/bench/server_process.h"
#include "tests/temp_folder.h"

namespace meridian::bench {
namespace {

struct Options {
  std::string profile;
  std::string endpoint;
  pid_t server_pid = 0;
  std::string json;
  std::string meridiand = "server/meridiand";
  std::string data;
  std::string redundancy = "ZRS";
  double seconds = 5;
};

constexpr int kInFlight[] = {1, 16, 64};
constexpr int64_t kSmallBytes = 4 << 10;
constexpr int64_t kLargeBytes = 4 << 20;

// Distinct objects of a size: enough to spread, few enough for a small disk.
uint64_t NamesOf(int64_t size_bytes) { return size_bytes == kSmallBytes ? 4096 : 64; }

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

  absl::Status Remove() {
    for (int64_t size : {kSmallBytes, kLargeBytes}) {
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
                                           pid_t server) {
  const absl::Duration time = absl::Seconds(options.seconds);
  std::vector<Result> results;
  for (int64_t size : {kSmallBytes, kLargeBytes}) {
    const std::string body(static_cast<size_t>(size), 'm');
    for (int in_flight : kInFlight) {
      ASSIGN_OR_RETURN(results.emplace_back(),
                       Run({"PUT", size, in_flight}, time, server,
                           [&](uint64_t i) { return workspace.Put(size, i, body); }));
      std::cerr << "." << std::flush;
    }
    // A slow machine may not have come round.
    for (uint64_t i = 0; i < NamesOf(size); ++i) RETURN_IF_ERROR(workspace.Put(size, i, body));
    for (int in_flight : kInFlight) {
      ASSIGN_OR_RETURN(results.emplace_back(),
                       Run({"GET", size, in_flight}, time, server,
                           [&](uint64_t i) { return workspace.Get(size, i); }));
      std::cerr << "." << std::flush;
    }
  }
  std::cerr << "\n";
  return results;
}

void PrintTable(const std::vector<Result>& results, const Limits& limits) {
  std::cout << "| op | size | in flight | ops/s | MB/s | p50 us | p99 us | server CPU us/op |\n"
            << "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const Result& result : results) {
    const Point& point = result.point;
    std::cout << absl::StrFormat(
        "| %s | %s | %d | %.0f | %.1f | %.0f | %.0f | %s |\n", point.op,
        point.size_bytes == kSmallBytes ? "4 KiB" : "4 MiB", point.in_flight, result.ops_per_s,
        result.mb_per_s, result.p50_us, result.p99_us,
        result.server_cpu_us_per_op ? absl::StrFormat("%.0f", *result.server_cpu_us_per_op)
                                    : std::string("unknown"));
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
              {"p99_us", result.p99_us}};
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

absl::Status RunBenchmark(const Options& options) {
  TempFolder scratch;
  const std::string data = options.data.empty() ? scratch.path() : FromUser(options.data);
  ASSIGN_OR_RETURN(const Limits limits, MeasureLimits(data));
  std::unique_ptr<ServerProcess> own;
  std::string profile_path = FromUser(options.profile);
  pid_t server = options.server_pid;
  if (profile_path.empty()) {
    ASSIGN_OR_RETURN(own, ServerProcess::Start(options.meridiand, data));
    profile_path = own->profile_path();
    server = own->pid();
  }
  ASSIGN_OR_RETURN(Profile profile, LoadProfile(profile_path));
  if (!options.endpoint.empty()) profile.endpoints = {options.endpoint};
  ASSIGN_OR_RETURN(const std::unique_ptr<Workspace> workspace,
                   Workspace::Make(profile, options.redundancy));
  absl::StatusOr<std::vector<Result>> results = RunAll(*workspace, options, server);
  // A cluster of our own is thrown away as a whole.
  const absl::Status removed = own ? absl::OkStatus() : workspace->Remove();
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
  CLI::App app("PUT and GET of 4 KiB and 4 MiB at 1, 16 and 64 in flight.");
  app.add_option("--profile", options.profile,
                 "An administrator's or a tenant's; default: a dev cluster of its own");
  app.add_option("--endpoint", options.endpoint, "Instead of the profile's")->needs("--profile");
  app.add_option("--server-pid", options.server_pid, "Whose processor time to take")
      ->needs("--profile");
  app.add_option("--json", options.json, "Write the figures to this file too");
  app.add_option("--meridiand", options.meridiand, "The server to start")->capture_default_str();
  app.add_option("--data", options.data, "Folder on the disk to use; default: a temporary one");
  app.add_option("--redundancy", options.redundancy, "LRS or ZRS")->capture_default_str();
  app.add_option("--seconds", options.seconds, "For each line")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = meridian::bench::RunBenchmark(options);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
