// A cluster seen from outside: its metrics as a scraper reads them, and its log. Neither tells what
// tenants call their things, or a key.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/random.h"
#include "client/admin.h"
#include "client/client.h"
#include "client/errors.h"
#include "tests/integration/raw_server.h"
#include "tests/integration/server_process.h"
#include "tests/server/telemetry/exposition.h"
#include "tests/temp_folder.h"
#include "tests/until.h"

namespace meridian {
namespace {

constexpr char kRequests[] = "meridian_requests_total";

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class TelemetryTest : public testing::Test {
 protected:
  void SetUp() override {
    ServerProcess::Options options;
    options.data_folder = folder_.path() + "/data";
    options.log_file = log_path();
    // Every call is logged.
    options.arguments = {"--metrics-listen", "127.0.0.1:0", "--slow-request-ms", "0"};
    auto server = ServerProcess::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    administrator_ = *server_->AdminProfile();
    for (const nlohmann::json& line : Lines()) {
      if (line["component"] == "metrics") endpoint_ = line["endpoint"];
    }
    ASSERT_FALSE(endpoint_.empty());
    std::ofstream(ca_path()) << administrator_.ca_pem;
  }
  std::string log_path() const { return folder_.path() + "/meridiand.log"; }
  std::string ca_path() const { return folder_.path() + "/ca.crt"; }

  // All of the log but what the process says on its standard output.
  std::vector<nlohmann::json> Lines() const {
    std::vector<nlohmann::json> lines;
    const std::string log = ReadAll(log_path());
    for (const auto text : absl::StrSplit(log.substr(0, log.rfind('\n') + 1), '\n')) {
      if (text.empty() || text.substr(0, 9) == "meridian ") continue;
      auto line = nlohmann::json::parse(std::string(text), nullptr, /*allow_exceptions=*/false);
      EXPECT_FALSE(line.is_discarded()) << text;
      if (!line.is_discarded()) lines.push_back(std::move(line));
    }
    return lines;
  }
  // Of the calls that have this id, by their methods.
  std::map<std::string, nlohmann::json> CallsOf(const std::string& request_id) const {
    std::map<std::string, nlohmann::json> calls;
    for (const nlohmann::json& line : Lines()) {
      if (line.contains("method") && line["request_id"] == request_id) calls[line["method"]] = line;
    }
    return calls;
  }

  std::string ScrapeText() const {
    const std::vector<std::string> parts = absl::StrSplit(endpoint_, ':');
    int port = 0;
    EXPECT_TRUE(absl::SimpleAtoi(parts.at(1), &port));
    httplib::SSLClient client(parts[0], port);
    client.set_ca_cert_path(ca_path().c_str());
    client.enable_server_certificate_verification(true);
    client.set_read_timeout(30);
    const auto answer = client.Get("/metrics");
    EXPECT_TRUE(answer) << httplib::to_string(answer.error());
    return answer ? answer->body : std::string();
  }
  Exposition Scrape() const {
    const std::string text = ScrapeText();
    const auto page = ParseExposition(text);
    EXPECT_TRUE(page.ok()) << page.status();
    return page.ok() ? *page : Exposition();
  }

  TempFolder folder_;
  std::unique_ptr<ServerProcess> server_;
  Profile administrator_;
  std::string endpoint_;
};

v1::WriteSpec SpecOf(const std::string& container, const std::string& name) {
  v1::WriteSpec spec;
  spec.set_container(container);
  spec.set_name(name);
  return spec;
}

TEST_F(TelemetryTest, ThePageCountsWhatIsDone) {
  const Exposition before = Scrape();
  const auto profile = MakeTenantWithContainer(administrator_, "acme", "photos", v1::ZRS);
  ASSERT_TRUE(profile.ok()) << profile.status();
  Client client(*profile);
  const std::string container = "tenants/acme/containers/photos";
  const std::string small(1000, 's'), large(3'000'000, 'l');
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(client.WriteObject(SpecOf(container, absl::StrCat("small", i)), small).ok());
  }
  ASSERT_TRUE(client.WriteObject(SpecOf(container, "large"), large).ok());
  v1::ReadObjectRequest read;
  read.set_container(container);
  read.set_name("large");
  std::string back;
  ASSERT_TRUE(client.ReadObject(read, *MakeStringSink(&back)).ok());
  read.set_name("missing");
  EXPECT_FALSE(client.ReadObject(read, *MakeStringSink(&back)).ok());

  const Exposition page = Scrape();
  const auto moved = [&](const std::string& name, std::map<std::string, std::string> labels = {}) {
    return page.Sum(name, labels) - before.Sum(name, labels);
  };
  EXPECT_GE(moved(kRequests, {{"code", "OK"}}), 9);
  EXPECT_EQ(moved(kRequests, {{"method", "ObjectService/ReadObject"}, {"code", "NOT_FOUND"}}), 1);
  EXPECT_EQ(moved("meridian_request_seconds_count"), moved(kRequests));
  EXPECT_EQ(moved("meridian_body_received_bytes_total"), 5.0 * small.size() + large.size());
  EXPECT_EQ(moved("meridian_body_sent_bytes_total"), static_cast<double>(large.size()));
  EXPECT_GT(page.Sum("meridian_connections"), 0);
  // One leader of the container's one partition, three replicas that are all alike in the end.
  EXPECT_EQ(moved("meridian_group_serving"), 1);
  EXPECT_EQ(moved("meridian_group_role"), 3);
  EXPECT_EQ(moved("meridian_groups"), 3);
  EXPECT_GE(moved("meridian_group_commit_seconds_count"), 6);
  EXPECT_GE(moved("meridian_disk_sync_seconds_count", {{"part", "journal"}}), 6);
  EXPECT_GE(moved("meridian_disk_sync_bytes_sum", {{"part", "extents"}}), 3.0 * large.size());
  EXPECT_TRUE(Until([&] { return Scrape().Sum("meridian_group_follower_lag_entries") == 0; }));
  EXPECT_EQ(page.Sum("meridian_disk_in_service"), 10);
  EXPECT_EQ(page.Sum("meridian_groups_unanswered"), 0);
}

TEST_F(TelemetryTest, CountersOnlyGrowAndEveryMetricIsDocumented) {
  const auto profile = MakeTenantWithContainer(administrator_, "acme", "photos", v1::LRS);
  ASSERT_TRUE(profile.ok()) << profile.status();
  Client client(*profile);
  const Exposition first = Scrape();
  const auto spec = SpecOf("tenants/acme/containers/photos", "a");
  ASSERT_TRUE(client.WriteObject(spec, std::string(100'000, 'x')).ok());
  const Exposition second = Scrape();
  const std::string documented = ReadAll("docs/operations.md");
  for (const auto& [name, family] : second.families) {
    EXPECT_NE(documented.find(absl::StrCat("`", name, "`")), std::string::npos) << name;
    if (family.type == "gauge" || !first.families.contains(name)) continue;
    for (const ExposedSample& sample : first.families.at(name).samples) {
      EXPECT_GE(second.Sum(sample.name, sample.labels), sample.value) << sample.name;
    }
  }
}

// A stopped node's samples are not on the page, those of the others are.
TEST_F(TelemetryTest, ANodeThatIsDownIsMissingAndItsPeersSaySo) {
  Admin admin(administrator_);
  ASSERT_TRUE(admin.StopZone("east-3").ok());
  EXPECT_TRUE(Until([&] {
    const Exposition page = Scrape();
    return page.Sum("meridian_node_info", {{"zone", "east-3"}}) == 0 &&
           page.Sum("meridian_node_info") == 9 &&
           page.Sum("meridian_peer_connected", {{"peer", "east-3a"}}) == 0;
  }));
  ASSERT_TRUE(admin.StartZone("east-3").ok());
  EXPECT_TRUE(Until([&] { return Scrape().Sum("meridian_node_info") == 10; }));
}

TEST_F(TelemetryTest, ACallIsFoundInTheLogByTheIdInItsAnswer) {
  const std::string trace(32, 'd');
  v1::ListNodesResponse nodes;
  auto context = RawServer::ContextOf(administrator_);
  context->AddMetadata("traceparent", "00-" + trace + "-00000000000000ab-01");
  ASSERT_FALSE(administrator_.endpoints.empty());
  const RawServer front(administrator_, administrator_.endpoints[0]);
  ASSERT_TRUE(front.cluster->ListNodes(context.get(), {}, &nodes).ok());
  const auto& trailing = context->GetServerTrailingMetadata();
  const auto id = trailing.find("x-request-id");
  ASSERT_NE(id, trailing.end());
  EXPECT_EQ(std::string(id->second.data(), id->second.size()), trace);
  // The front asks the nodes, on behalf of the same request.
  EXPECT_TRUE(Until([&] {
    const auto calls = CallsOf(trace);
    return calls.contains("ClusterService/ListNodes") &&
           calls.contains("NodeService/GetNodeStatus");
  }));
  const auto calls = CallsOf(trace);
  EXPECT_EQ(calls.at("ClusterService/ListNodes")["node"], "front.meridian.dev");
  EXPECT_NE(calls.at("NodeService/GetNodeStatus")["span_id"],
            calls.at("ClusterService/ListNodes")["span_id"]);
}

// The front leads nothing: it passes calls on.
TEST_F(TelemetryTest, APassedOnCallKeepsItsRequestIdAndItsBytesCountOnce) {
  const auto profile = MakeTenantWithContainer(administrator_, "acme", "photos", v1::ZRS);
  ASSERT_TRUE(profile.ok()) << profile.status();
  const std::string container = "tenants/acme/containers/photos";
  // A leader is there.
  ASSERT_TRUE(Client(*profile).WriteObject(SpecOf(container, "first"), "x").ok());
  const RawServer front(*profile, administrator_.endpoints[0]);
  const Exposition before = Scrape();
  const std::string trace(32, 'e');
  const auto new_context = [&] {
    auto context = RawServer::ContextOf(*profile);
    context->AddMetadata("traceparent", "00-" + trace + "-00000000000000ab-01");
    return context;
  };
  v1::PutObjectRequest put;
  *put.mutable_spec() = SpecOf(container, "second");
  put.set_data(std::string(10'000, 'y'));
  v1::Object object;
  auto context = new_context();
  grpc::Status status = front.objects->PutObject(context.get(), put, &object);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(context->GetServerTrailingMetadata().count("x-request-id"), 1u);
  context = new_context();
  v1::WriteObjectRequest message;
  const auto writer = front.objects->WriteObject(context.get(), &object);
  *message.mutable_spec() = SpecOf(container, "third");
  ASSERT_TRUE(writer->Write(message));
  for (int i = 0; i < 3; ++i) {
    message.set_data(std::string(500'000, 'z'));
    ASSERT_TRUE(writer->Write(message));
  }
  message.mutable_finish();
  ASSERT_TRUE(writer->Write(message));
  ASSERT_TRUE(writer->WritesDone());
  status = writer->Finish();
  ASSERT_TRUE(status.ok()) << status.error_message();
  context = new_context();
  v1::ReadObjectRequest read;
  read.set_container(container);
  read.set_name("third");
  v1::ReadObjectResponse piece;
  const auto reader = front.objects->ReadObject(context.get(), read);
  while (reader->Read(&piece)) {
  }
  ASSERT_TRUE(reader->Finish().ok());

  const Exposition page = Scrape();
  const auto moved = [&](const std::string& name) { return page.Sum(name) - before.Sum(name); };
  EXPECT_EQ(moved("meridian_body_received_bytes_total"), 10'000 + 3 * 500'000);
  EXPECT_EQ(moved("meridian_body_sent_bytes_total"), 3 * 500'000);
  for (const std::string method : {"PutObject", "WriteObject", "ReadObject"}) {
    SCOPED_TRACE(method);
    std::map<std::string, nlohmann::json> lines;  // by node
    EXPECT_TRUE(Until([&] {
      lines.clear();
      for (const nlohmann::json& line : Lines()) {
        if (line.value("method", "") == "ObjectService/" + method && line["request_id"] == trace) {
          lines[line["node"]] = line;
        }
      }
      return lines.size() == 2;
    }));
    ASSERT_EQ(lines.size(), 2u);
    ASSERT_TRUE(lines.contains("front.meridian.dev"));
    const nlohmann::json passed = lines.extract("front.meridian.dev").mapped();
    const nlohmann::json& led = lines.begin()->second;
    EXPECT_NE(passed["span_id"], led["span_id"]);
    EXPECT_EQ(passed["group"], led["group"]);
    EXPECT_GT(passed["nodes_ms"], 0);
  }
}

// What a user is shown leads an operator to the line.
TEST_F(TelemetryTest, AnErrorsRequestIdIsInTheLog) {
  const auto profile = MakeTenantWithContainer(administrator_, "acme", "photos", v1::LRS);
  ASSERT_TRUE(profile.ok()) << profile.status();
  v1::GetObjectRequest get;
  get.set_container("tenants/acme/containers/photos");
  get.set_name("missing");
  const std::string id = RequestIdOf(Client(*profile).GetObject(get).status());
  ASSERT_EQ(id.size(), 32u);
  ASSERT_TRUE(Until([&] { return CallsOf(id).contains("ObjectService/GetObject"); }));
  EXPECT_EQ(CallsOf(id)["ObjectService/GetObject"]["code"], "NOT_FOUND");
}

TEST_F(TelemetryTest, ALineOfACallTellsItsGroupAndWhereItsTimeWent) {
  const auto profile = MakeTenantWithContainer(administrator_, "acme", "photos", v1::LRS);
  ASSERT_TRUE(profile.ok()) << profile.status();
  const std::string body(2'500'000, 'x');
  ASSERT_TRUE(
      Client(*profile).WriteObject(SpecOf("tenants/acme/containers/photos", "a"), body).ok());
  nlohmann::json written;
  ASSERT_TRUE(Until([&] {
    for (const nlohmann::json& line : Lines()) {
      if (line.value("method", "") == "ObjectService/WriteObject" && line["code"] == "OK") {
        written = line;
      }
    }
    return !written.is_null();
  }));
  EXPECT_EQ(written["received_bytes"], body.size());
  EXPECT_GT(written["commit_ms"], 0);
  EXPECT_GT(written["body_ms"], 0);
  EXPECT_GT(written["client_ms"], 0);
  EXPECT_GE(written["duration_ms"].get<double>(),
            written["commit_ms"].get<double>() + written["body_ms"].get<double>());
  EXPECT_EQ(written["group"].get<std::string>().size(), 32u);
  EXPECT_EQ(written["request_id"].get<std::string>().size(), 32u);
}

TEST_F(TelemetryTest, ErrorsOfGrpcAreLinesToo) {
  ASSERT_FALSE(administrator_.endpoints.empty());
  httplib::Client plain("http://" + administrator_.endpoints[0]);
  EXPECT_FALSE(plain.Get("/"));  // it speaks TLS only
  EXPECT_TRUE(Until([&] {
    const auto lines = Lines();
    return std::any_of(lines.begin(), lines.end(),
                       [](const nlohmann::json& line) { return line["component"] == "grpc"; });
  }));
}

// 40 random characters that every place permits.
std::string NewMarker() {
  SystemRandom random;
  std::string bytes(20, '\0');
  random.Fill({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
  return absl::BytesToHexString(bytes);
}

TEST_F(TelemetryTest, NeitherPageNorLogTellsNamesMetadataOrKeys) {
  std::map<std::string, std::string> planted = {
      {"tenant", NewMarker()},         {"container", NewMarker()},         {"object", NewMarker()},
      {"metadata key", NewMarker()},   {"metadata value", NewMarker()},    {"type", NewMarker()},
      {"missing object", NewMarker()}, {"missing container", NewMarker()}, {"body", NewMarker()},
      {"token", "mak1_" + NewMarker()}};
  const auto profile =
      MakeTenantWithContainer(administrator_, planted["tenant"], planted["container"], v1::ZRS);
  ASSERT_TRUE(profile.ok()) << profile.status();
  planted["access key"] = profile->access_key.substr(profile->access_key.size() - 40);
  planted["administrator"] =
      administrator_.access_key.substr(administrator_.access_key.size() - 40);
  Client client(*profile);
  const std::string container =
      absl::StrCat("tenants/", planted["tenant"], "/containers/", planted["container"]);
  v1::WriteSpec spec = SpecOf(container, planted["object"]);
  spec.set_content_type(planted["type"]);
  (*spec.mutable_metadata())[planted["metadata key"]] = planted["metadata value"];
  ASSERT_TRUE(client.WriteObject(spec, planted["body"]).ok());
  spec.mutable_condition()->set_if_none_match(true);
  EXPECT_FALSE(client.WriteObject(spec, planted["body"]).ok());
  v1::GetObjectRequest get;
  get.set_container(container);
  get.set_name(planted["missing object"]);
  EXPECT_FALSE(client.GetObject(get).ok());
  get.set_container(absl::StrCat("tenants/", planted["tenant"], "/containers/",
                                 planted["missing container"].substr(0, 30)));
  planted["missing container"].resize(30);
  EXPECT_FALSE(client.GetObject(get).ok());
  Profile stranger = *profile;
  stranger.access_key = planted["token"];
  EXPECT_FALSE(Client(stranger).GetObject(get).ok());
  Admin admin(administrator_);
  ASSERT_TRUE(admin.StopZone("east-1").ok());
  ASSERT_TRUE(admin.StartZone("east-1").ok());

  const std::string page = ScrapeText();
  ASSERT_NE(page.find("ObjectService/GetObject"), std::string::npos);
  ASSERT_TRUE(server_->Stop().ok());
  const std::string log = ReadAll(log_path());
  ASSERT_NE(log.find("ObjectService/GetObject"), std::string::npos);
  for (const auto& [what, marker] : planted) {
    for (const std::string& form :
         {marker, absl::BytesToHexString(marker), absl::Base64Escape(marker).substr(0, 36),
          absl::WebSafeBase64Escape(marker).substr(0, 36)}) {
      EXPECT_EQ(page.find(form), std::string::npos) << what << " in the metrics";
      EXPECT_EQ(log.find(form), std::string::npos) << what << " in the log";
    }
  }
}

}  // namespace
}  // namespace meridian
