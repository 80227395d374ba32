// What every command of `meridian` has: the profile, the clients made from it, where output goes.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/admin.h"
#include "client/cli/format.h"
#include "client/client.h"

namespace meridian::cli {

// Where an object is, as given on the command line.
struct Address {
  // `tenants/{tenant}/containers/{container}`.
  std::string container;
  // What follows the first '/'; may be empty.
  std::string name;
};

// Options are set by the parser, the rest is made when first used. Not thread-safe; the clients
// that it hands out are.
class Context {
 public:
  Context(std::ostream& out, std::ostream& err) : out_(out), err_(err) {}

  // -- Set by the command line.
  std::string profile_path;
  // `acme` or `tenants/acme`; empty: the profile's.
  std::string tenant_option;
  bool json = false;
  double timeout_seconds = 0;
  // The command chosen.
  std::function<absl::Status()> run;

  absl::StatusOr<Client*> client();
  absl::StatusOr<Admin*> admin();
  absl::StatusOr<const Profile*> profile();
  CallOptions call_options() const;

  // `tenants/{tenant}`: of --tenant, else of the profile.
  absl::StatusOr<std::string> tenant();
  // The resource name of a container given by its short or full name.
  absl::StatusOr<std::string> ContainerName(const std::string& container);
  // CONTAINER[/NAME], or tenants/TENANT/containers/CONTAINER[/NAME].
  absl::StatusOr<Address> ParseAddress(const std::string& text);

  std::ostream& out() { return out_; }
  std::ostream& err() { return err_; }
  // One result: `text` for people, or `value` as a line of JSON.
  void Print(const std::string& text, const Json& value);

 private:
  std::ostream& out_;
  std::ostream& err_;
  std::unique_ptr<Profile> profile_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Admin> admin_;
};

// `acme` -> `tenants/acme`; a full name stays.
std::string TenantName(const std::string& tenant);

}  // namespace meridian::cli
