// I9: what tenants store is found in no file, under whatever name and in whatever form it was
// given: a whole cluster runs over a folder, and every byte of that folder is searched, the logs
// included. The positive control runs the same with the same binary, whose encryption calls do
// nothing then: it must find all of it, or else the search proves nothing. (RocksDB compresses
// nothing, see RocksKv: no marker can hide in a compressed block.)
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "client/admin.h"
#include "client/client.h"
#include "tests/integration/marker_search.h"
#include "tests/integration/server_process.h"
#include "tests/temp_folder.h"

namespace meridian {
namespace {

constexpr char kIdentityCipher[] = "tests/integration/libidentity_cipher.so";
constexpr size_t kMiB = 1 << 20;

constexpr char kCoordinationKeys[] = "keys of the coordination store";
constexpr char kEndpoints[] = "nodes' endpoints";

// All that a tenant gives to the store, each in a form that its place permits.
struct Planted {
  // Names of tenants and containers have at most 63 characters.
  Marker tenant = NewMarker(31), container = NewMarker(31);
  Marker tenant_title = NewMarker(), key_title = NewMarker();
  Marker name = NewMarker(), second_name = NewMarker(), missing_name = NewMarker();
  Marker key = NewMarker(), value = NewMarker(), content_type = NewMarker();
  Marker small_body = NewMarker(), changed_value = NewMarker();
  // At these offsets of the large body: its first and last bytes, the end of a frame, the beginning
  // of a chunk, and somewhere.
  static constexpr size_t kLargeBytes = 20 * kMiB;
  static constexpr std::array<size_t, 5> kOffsets = {0, 65536 - 64, kMiB, 7 * kMiB + 12345,
                                                     kLargeBytes - 64};
  std::array<Marker, kOffsets.size()> large_body = {NewMarker(), NewMarker(), NewMarker(),
                                                    NewMarker(), NewMarker()};

  std::string LargeBody() const {
    SystemRandom random;
    std::string body(kLargeBytes, '\0');
    random.Fill({reinterpret_cast<uint8_t*>(body.data()), body.size()});
    for (size_t i = 0; i < kOffsets.size(); ++i) {
      const Marker& marker = large_body[i];
      const std::string& form = i % 3 == 0 ? marker.hex : i % 3 == 1 ? marker.raw : marker.base64;
      body.replace(kOffsets[i], form.size(), form);
    }
    return body;
  }
  // What the control must find: each in the form in which it was planted.
  std::vector<std::string> Expected() const {
    std::vector<std::string> expected = {
        "tenant, hex",         "container, hex",     "name, hex",
        "second name, base64", "key, hex",           "value, base64",
        "content type, hex",   "small body, raw",    "small body, hex",
        "small body, base64",  "changed value, hex", "tenant title, hex",
        "key title, base64",   kCoordinationKeys,    kEndpoints};
    for (size_t i = 0; i < kOffsets.size(); ++i) {
      const char* form = i % 3 == 0 ? "hex" : i % 3 == 1 ? "raw" : "base64";
      expected.push_back(absl::StrCat("large body at ", kOffsets[i], ", ", form));
    }
    return expected;
  }
  MarkerSearch NewSearch() const {
    MarkerSearch search;
    search.Add("tenant", tenant);
    search.Add("container", container);
    search.Add("tenant title", tenant_title);
    search.Add("key title", key_title);
    // What the coordination store is made of, and holds in messages of its own.
    search.Add(kCoordinationKeys, "tenancy/tenant-name/");
    search.Add(kEndpoints, std::string("\x12\x0f", 2) + "127.0.0.1:");
    search.Add("name", name);
    search.Add("second name", second_name);
    search.Add("missing name", missing_name);
    search.Add("key", key);
    search.Add("value", value);
    search.Add("content type", content_type);
    search.Add("small body", small_body);
    search.Add("changed value", changed_value);
    for (size_t i = 0; i < kOffsets.size(); ++i) {
      search.Add(absl::StrCat("large body at ", kOffsets[i]), large_body[i]);
    }
    return search;
  }
};

class AtRest : public testing::Test {
 protected:
  AtRest() : search_(planted_.NewSearch()) {}

  void StartServer(const std::string& preload) {
    ServerProcess::Options options;
    options.data_folder = folder_.path() + "/data";
    options.log_file = folder_.path() + "/meridiand.log";
    options.preload = preload;
    auto server = ServerProcess::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    auto administrator = server_->AdminProfile();
    ASSERT_TRUE(administrator.ok()) << administrator.status();
    administrator_ = *administrator;
  }

  v1::WriteSpec SpecOf(const std::string& name) const {
    v1::WriteSpec spec;
    spec.set_container(
        absl::StrCat("tenants/", planted_.tenant.hex, "/containers/", planted_.container.hex));
    spec.set_name(name);
    return spec;
  }

  // Everything that a tenant can say, refusals included: those are logged, if anything is.
  void Use() {
    const auto profile = MakeTenantWithContainer(administrator_, planted_.tenant.hex,
                                                 planted_.container.hex, v1::ZRS);
    ASSERT_TRUE(profile.ok()) << profile.status();
    const absl::Status titled =
        MakeTitledTenant(administrator_, planted_.tenant_title.hex, planted_.key_title.base64);
    ASSERT_TRUE(titled.ok()) << titled;
    search_.Add("access key", profile->access_key.substr(profile->access_key.size() - 40));
    Client client(*profile);
    v1::WriteSpec spec = SpecOf(planted_.name.hex);
    spec.set_content_type(planted_.content_type.hex);
    (*spec.mutable_metadata())[planted_.key.hex] = planted_.value.base64;
    const Marker& small = planted_.small_body;
    const std::string body = absl::StrCat("raw ", small.raw, " hex ", small.hex, " ", small.base64);
    const auto written = client.WriteObject(spec, body);
    ASSERT_TRUE(written.ok()) << written.status();
    const std::string large = planted_.LargeBody();
    const auto second = client.WriteObject(SpecOf(planted_.second_name.base64), large);
    ASSERT_TRUE(second.ok()) << second.status();

    v1::UpdateObjectRequest update;
    update.mutable_object()->set_container(spec.container());
    update.mutable_object()->set_name(planted_.second_name.base64);
    (*update.mutable_object()->mutable_metadata())["changed"] = planted_.changed_value.hex;
    update.mutable_update_mask()->add_paths("metadata");
    const auto updated = client.UpdateObject(update);
    ASSERT_TRUE(updated.ok()) << updated.status();

    spec.mutable_condition()->set_if_none_match(true);
    EXPECT_EQ(client.WriteObject(spec, body).status().code(),
              absl::StatusCode::kFailedPrecondition);
    v1::GetObjectRequest missing;
    missing.set_container(spec.container());
    missing.set_name(planted_.missing_name.hex);
    EXPECT_EQ(client.GetObject(missing).status().code(), absl::StatusCode::kNotFound);

    v1::ReadObjectRequest read;
    read.set_container(spec.container());
    read.set_name(planted_.second_name.base64);
    std::string back;
    ASSERT_TRUE(client.ReadObject(read, *MakeStringSink(&back)).ok());
    EXPECT_TRUE(back == large);
  }

  // A node comes back from its disk, and the others send it what it missed.
  void RestartAZone() {
    Admin admin(administrator_);
    ASSERT_TRUE(admin.StopZone("east-1").ok());
    ASSERT_TRUE(admin.StartZone("east-1").ok());
  }

  std::map<std::string, std::string> Found() const { return search_.In(folder_.path()); }

  const Planted planted_;
  MarkerSearch search_;
  TempFolder folder_;
  std::unique_ptr<ServerProcess> server_;
  Profile administrator_;
};

TEST_F(AtRest, NothingThatATenantStoresIsFoundInAnyFile) {  // I9
  using testing::PrintToString;
  const std::map<std::string, std::string> nothing;
  ASSERT_NO_FATAL_FAILURE(StartServer(""));
  ASSERT_NO_FATAL_FAILURE(Use());
  EXPECT_EQ(Found(), nothing) << "while it serves";
  ASSERT_NO_FATAL_FAILURE(RestartAZone());
  EXPECT_EQ(Found(), nothing) << "after a zone's restart";
  ASSERT_TRUE(server_->Stop().ok());
  EXPECT_EQ(Found(), nothing) << "after its end";
  ASSERT_NO_FATAL_FAILURE(StartServer(""));
  ASSERT_TRUE(server_->Stop().ok());
  EXPECT_EQ(Found(), nothing) << "after a recovery";
}

TEST_F(AtRest, TheSameSearchFindsEverythingWithoutEncryption) {
  ASSERT_NO_FATAL_FAILURE(StartServer(std::filesystem::absolute(kIdentityCipher)));
  ASSERT_NO_FATAL_FAILURE(Use());
  std::map<std::string, std::string> found = Found();
  ASSERT_TRUE(server_->Stop().ok());
  found.merge(Found());
  for (const std::string& what : planted_.Expected()) {
    EXPECT_TRUE(found.contains(what)) << what;
  }
}

}  // namespace
}  // namespace meridian
