// I9 on processes: what tenants store and how they call it is found in no file of any etcd member,
// nor of any node. The positive control runs the same with the same binaries, whose encryption does
// nothing then: there each etcd member and each node with a replica must be found out, by itself,
// or else the search proves nothing.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/admin.h"
#include "client/client.h"
#include "tests/integration/groups.h"
#include "tests/integration/local_cluster.h"
#include "tests/integration/marker_search.h"
#include "tests/integration/server_process.h"
#include "tests/temp_folder.h"
#include "tests/until.h"

namespace meridian {
namespace {

constexpr char kIdentityCipher[] = "tests/integration/libidentity_cipher.so";

// Each in a form that its place permits: names of tenants and containers have at most 63
// characters.
struct Planted {
  Marker tenant = NewMarker(31), container = NewMarker(31);
  Marker tenant_title = NewMarker(), key_title = NewMarker();
  Marker name = NewMarker(), other_name = NewMarker(), missing_name = NewMarker();
  Marker key = NewMarker(), value = NewMarker(), body = NewMarker();

  std::string ContainerName() const {
    return absl::StrCat("tenants/", tenant.hex, "/containers/", container.hex);
  }
  MarkerSearch NewSearch() const {
    MarkerSearch search;
    for (const auto& [what, marker] : std::map<std::string, const Marker*>{
             {"tenant", &tenant},
             {"container", &container},
             {"tenant title", &tenant_title},
             {"key title", &key_title},
             {"name", &name},
             {"other name", &other_name},
             {"missing name", &missing_name},
             {"key", &key},
             {"value", &value},
             {"body", &body},
         }) {
      search.Add(what, *marker);
    }
    return search;
  }
};

class ProcessAtRest : public testing::Test {
 protected:
  ProcessAtRest() : search_(planted_.NewSearch()), cluster_(folder_.path() + "/cluster") {}

  void Start() {
    const absl::Status up = cluster_.Up();
    ASSERT_TRUE(up.ok()) << up;
    const auto administrator = cluster_.AdminProfile();
    ASSERT_TRUE(administrator.ok()) << administrator.status();
    administrator_ = *administrator;
  }

  // What tenants say, refusals included: those are logged, if anything is.
  void Use() {
    const auto profile = MakeTenantWithContainer(administrator_, planted_.tenant.hex,
                                                 planted_.container.hex, v1::ZRS);
    ASSERT_TRUE(profile.ok()) << profile.status();
    search_.Add("access key", profile->access_key.substr(profile->access_key.size() - 40));
    const absl::Status titled =
        MakeTitledTenant(administrator_, planted_.tenant_title.hex, planted_.key_title.base64);
    ASSERT_TRUE(titled.ok()) << titled;
    Client client(*profile);
    v1::WriteSpec spec;
    spec.set_container(planted_.ContainerName());
    spec.set_name(planted_.name.hex);
    (*spec.mutable_metadata())[planted_.key.hex] = planted_.value.base64;
    const Marker& body = planted_.body;
    const auto written =
        client.WriteObject(spec, absl::StrCat(body.raw, " ", body.hex, " ", body.base64));
    ASSERT_TRUE(written.ok()) << written.status();
    spec.set_name(planted_.other_name.base64);
    const auto large = client.WriteObject(spec, body.raw + std::string(3 << 20, 'x') + body.hex);
    ASSERT_TRUE(large.ok()) << large.status();

    v1::GetObjectRequest missing;
    missing.set_container(spec.container());
    missing.set_name(planted_.missing_name.hex);
    EXPECT_TRUE(absl::IsNotFound(client.GetObject(missing).status()));
    spec.mutable_condition()->set_if_none_match(true);
    EXPECT_TRUE(absl::IsFailedPrecondition(client.WriteObject(spec, "again").status()));
    v1::DeleteObjectRequest removal;
    removal.set_container(spec.container());
    removal.set_name(planted_.other_name.base64);
    EXPECT_TRUE(client.DeleteObject(removal).ok());
  }

  std::map<std::string, std::string> FoundIn(const std::string& process) const {
    return search_.In(absl::StrCat(cluster_.folder(), "/", process));
  }
  // All of `expected`, sooner or later: whoever is no part of a quorum follows it.
  void ExpectFoundIn(const std::string& process, const std::vector<std::string>& expected) const {
    std::string missing;
    EXPECT_TRUE(Until([&] {
      const auto found = FoundIn(process);
      missing.clear();
      for (const std::string& what : expected) {
        if (!found.contains(what)) absl::StrAppend(&missing, what, "; ");
      }
      return missing.empty();
    })) << process
        << " lacks " << missing;
  }

  const Planted planted_;
  MarkerSearch search_;
  TempFolder folder_;
  LocalCluster cluster_;
  Profile administrator_;
};

const std::vector<std::string>& Members() {
  static const std::vector<std::string> members = {"etcd-1", "etcd-2", "etcd-3"};
  return members;
}

TEST_F(ProcessAtRest, NothingThatTenantsStoreOrNameIsFoundInAnyFileOfNodesOrEtcd) {
  const std::map<std::string, std::string> nothing;
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(Use());
  for (const std::string& member : Members()) {
    ASSERT_TRUE(std::filesystem::exists(cluster_.folder() + "/" + member + "/data/member/wal"));
  }
  EXPECT_EQ(search_.In(cluster_.folder()), nothing) << "while it serves";
  ASSERT_TRUE(cluster_.Kill({"east-1a", "east-1b", "east-1c", "east-2a", "east-3a", "etcd"}).ok());
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(search_.In(cluster_.folder()), nothing) << "after a recovery";
  const absl::Status down = cluster_.Down();
  ASSERT_TRUE(down.ok()) << down;
  EXPECT_EQ(search_.In(cluster_.folder()), nothing) << "after its end";
}

TEST_F(ProcessAtRest, TheSameSearchFindsItAtEachOfThemWithoutEncryption) {
  cluster_.set_preload(std::filesystem::absolute(kIdentityCipher));
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(Use());
  for (const std::string& member : Members()) {
    ExpectFoundIn(member,
                  {"tenant, hex", "container, hex", "tenant title, hex", "key title, base64"});
  }
  Admin admin(administrator_);
  const v1::Group group = GroupOf(admin, planted_.ContainerName());
  ASSERT_EQ(group.members_size(), 3);
  for (const v1::Replica& member : group.members()) {
    ExpectFoundIn(member.node(), {"name, hex", "other name, base64", "key, hex", "value, base64",
                                  "body, raw", "body, hex", "body, base64"});
  }
}

}  // namespace
}  // namespace meridian
