// The systemd unit that operators are given.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"

namespace meridian {
namespace {

std::vector<std::string> ValuesOf(const std::string& setting) {
  std::ifstream unit("deploy/meridian.service");
  EXPECT_TRUE(unit.is_open());
  std::vector<std::string> values;
  for (std::string line; std::getline(unit, line);) {
    if (line.starts_with(setting + "=")) values.push_back(line.substr(setting.size() + 1));
  }
  return values;
}

// systemd.exec: a path that is missing fails the start, unless it has the "-".
TEST(ServiceUnit, AFolderWhoseDiskIsNotMountedDoesNotKeepTheNodeFromStarting) {
  const std::vector<std::string> folders = ValuesOf("ReadWritePaths");
  ASSERT_FALSE(folders.empty());
  for (const std::string& folder : folders) EXPECT_TRUE(folder.starts_with("-/")) << folder;
}

TEST(ServiceUnit, AStopIsGivenLongerThanItTakes) {
  const std::vector<std::string> limits = ValuesOf("TimeoutStopSec");
  ASSERT_EQ(limits.size(), 1u);
  int seconds = 0;
  ASSERT_TRUE(absl::SimpleAtoi(limits.front(), &seconds)) << limits.front();
  EXPECT_GT(seconds, 10);
}

}  // namespace
}  // namespace meridian
