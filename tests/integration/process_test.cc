// The meridiand binary as its users run it: killed, restarted, stopped.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/admin.h"
#include "client/client.h"
#include "client/profile.h"
#include "tests/temp_folder.h"

namespace meridian {
namespace {

constexpr char kBinary[] = "server/meridiand";

// `meridiand dev` on a folder. Not thread-safe.
class DevProcess {
 public:
  // Returns once it has said that it is ready.
  explicit DevProcess(const std::string& folder) {
    int out[2];
    EXPECT_EQ(pipe(out), 0);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(out[1], STDOUT_FILENO);
      close(out[0]);
      close(out[1]);
      execl(kBinary, kBinary, "dev", "--data", folder.c_str(), nullptr);
      _exit(127);
    }
    close(out[1]);
    out_ = fdopen(out[0], "r");
    char line[256] = "";
    if (fgets(line, sizeof(line), out_) != nullptr) first_line_ = line;
  }
  ~DevProcess() {
    if (pid_ > 0) Kill(SIGKILL);
    fclose(out_);
  }

  bool ready() const { return first_line_.starts_with("meridian ready "); }
  // Its exit code, or 128 + the signal that ended it.
  int Kill(int signal) {
    kill(pid_, signal);
    return Wait();
  }
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = 0;
  FILE* out_ = nullptr;
  std::string first_line_;
};

class ProcessTest : public testing::Test {
 protected:
  std::string data_folder() const { return folder_.path() + "/data"; }

  // Tenant acme with container z.
  Profile MakeTenant() {
    const auto administrator = LoadProfile(data_folder() + "/admin.profile");
    EXPECT_TRUE(administrator.ok()) << administrator.status();
    Admin admin(*administrator);
    v1::CreateTenantRequest tenant;
    tenant.set_tenant_id("acme");
    EXPECT_TRUE(admin.CreateTenant(tenant).ok());
    v1::CreateAccessKeyRequest key;
    key.set_parent("tenants/acme");
    const auto created = admin.CreateAccessKey(key);
    EXPECT_TRUE(created.ok()) << created.status();
    Profile profile = *administrator;
    profile.access_key = created->secret();
    profile.tenant = "tenants/acme";
    Client client(profile);
    v1::CreateContainerRequest container;
    container.set_parent("tenants/acme");
    container.set_container_id("z");
    container.mutable_container()->set_redundancy(v1::ZRS);
    EXPECT_TRUE(client.CreateContainer(container).ok());
    return profile;
  }

  // The port may be another after a restart.
  Profile Moved(Profile profile) const {
    const auto administrator = LoadProfile(data_folder() + "/admin.profile");
    EXPECT_TRUE(administrator.ok()) << administrator.status();
    profile.endpoints = administrator->endpoints;
    return profile;
  }

  TempFolder folder_;
};

std::string BodyOf(const std::string& name) {
  std::string body;
  while (body.size() < 1000 + 97 * (name.size() + name.back()) * (name.back() % 5)) body += name;
  return body;
}

TEST_F(ProcessTest, HasEveryAcknowledgedObjectAfterKillsDuringWrites) {  // I1
  constexpr int kKills = 3;
  constexpr int kWriters = 4;
  auto process = std::make_unique<DevProcess>(data_folder());
  ASSERT_TRUE(process->ready());
  Profile profile = MakeTenant();
  absl::Mutex mutex;
  std::map<std::string, std::string> acknowledged;
  for (int round = 0; round < kKills; ++round) {
    Client client(profile);
    std::atomic<bool> stop{false};
    std::vector<std::thread> writers;
    for (int writer = 0; writer < kWriters; ++writer) {
      writers.emplace_back([&, writer] {
        for (int i = 0; !stop; ++i) {
          v1::WriteSpec spec;
          spec.set_container("tenants/acme/containers/z");
          spec.set_name(absl::StrCat("r", round, "-", writer, "-", i));
          const std::string body = BodyOf(spec.name());
          if (!client.WriteObject(spec, body, {.timeout = absl::Milliseconds(500)}).ok()) continue;
          absl::MutexLock lock(&mutex);
          acknowledged[spec.name()] = body;
        }
      });
    }
    const auto enough = [&] {
      absl::MutexLock lock(&mutex);
      return acknowledged.size() >= 100u * (round + 1);
    };
    for (const absl::Time end = absl::Now() + absl::Seconds(60); absl::Now() < end && !enough();) {
      absl::SleepFor(absl::Milliseconds(2));
    }
    EXPECT_TRUE(enough()) << "round " << round << ": too little was acknowledged before the kill";
    EXPECT_EQ(process->Kill(SIGKILL), 128 + SIGKILL);
    stop = true;
    for (std::thread& writer : writers) writer.join();
    process = std::make_unique<DevProcess>(data_folder());
    ASSERT_TRUE(process->ready());
    profile = Moved(profile);
  }
  Client client(profile);
  ASSERT_GE(acknowledged.size(), 100u);
  for (const auto& [name, expected] : acknowledged) {
    v1::ReadObjectRequest request;
    request.set_container("tenants/acme/containers/z");
    request.set_name(name);
    std::string body;
    const auto read = client.ReadObject(request, *MakeStringSink(&body));
    ASSERT_TRUE(read.ok()) << name << ": " << read.status();
    EXPECT_TRUE(body == expected) << name;
  }
}

TEST_F(ProcessTest, ExitsCleanlyOnSigterm) {
  DevProcess process(data_folder());
  ASSERT_TRUE(process.ready());
  EXPECT_EQ(process.Kill(SIGTERM), 0);
}

TEST_F(ProcessTest, RefusesAFolderThatAnotherProcessUses) {
  DevProcess first(data_folder());
  ASSERT_TRUE(first.ready());
  DevProcess second(data_folder());
  EXPECT_FALSE(second.ready());
  EXPECT_EQ(second.Wait(), 1);
}

}  // namespace
}  // namespace meridian
