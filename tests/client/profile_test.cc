#include "client/profile.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/temp_folder.h"

namespace meridian {
namespace {

Profile Sample() {
  return {.endpoints = {"h:1", "h:2"},
          .ca_pem = "-----BEGIN\n-----END\n",
          .access_key = "mak1_secret",
          .tenant = "tenants/acme",
          .server_name = "east-1a"};
}

TEST(Profile, ReadsBackWhatItWrote) { EXPECT_EQ(*ParseProfile(FormatProfile(Sample())), Sample()); }

TEST(Profile, IsReadableByItsOwnerOnly) {
  TempFolder folder;
  const std::string path = folder.path() + "/p";
  ASSERT_TRUE(SaveProfile(Sample(), path).ok());
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(*LoadProfile(path), Sample());
}

TEST(Profile, ANewOneTakesThePlaceOfNoFile) {
  TempFolder folder;
  const std::string path = folder.path() + "/p";
  Profile others = Sample();
  others.access_key = "mak1_others";
  ASSERT_TRUE(SaveProfile(others, path + ".new").ok());
  ASSERT_TRUE(CreateProfile(Sample(), path).ok());
  EXPECT_EQ(*LoadProfile(path), Sample());
  EXPECT_EQ(CreateProfile(others, path).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*LoadProfile(path), Sample());
  EXPECT_EQ(*LoadProfile(path + ".new"), others) << "the temporary file has a name of its own";
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    files += entry.is_regular_file();
  }
  EXPECT_EQ(files, 2) << "nothing else is left";
}

TEST(Profile, SaysWhatIsWrongButNeverTheKey) {
  for (const char* bad :
       {"", "[]", "{}", R"({"endpoint": 5})", R"({"endpoint": "h:1", "access_key": "mak1_secret"})",
        R"({"endpoints": ["h:1", 5], "access_key": "mak1_secret"})",
        R"({"endpoint": "h:1", "ca_pem": "x", "access_key": )"}) {
    const absl::Status status = ParseProfile(bad).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_EQ(status.message().find("mak1_secret"), absl::string_view::npos);
  }
}

TEST(Profile, AMissingFileIsNamed) {
  const absl::Status status = LoadProfile("/nonexistent/p").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find("/nonexistent/p"), absl::string_view::npos);
}

}  // namespace
}  // namespace meridian
