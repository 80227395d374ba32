// Writes an object, reads it back, lists its container, and shows a conditional write.
//
//   put_get PROFILE CONTAINER
//
// PROFILE: a tenant's, as `meridian key create --profile-out PROFILE` writes it. CONTAINER: the
// short name of one of its containers, as made by `meridian container create`.
#include <iostream>
#include <string>

#include "client/client.h"
#include "client/errors.h"
#include "client/profile.h"

namespace {

absl::Status Run(const std::string& profile_path, const std::string& container_id) {
  absl::StatusOr<meridian::Profile> profile = meridian::LoadProfile(profile_path);
  if (!profile.ok()) return profile.status();
  const std::string container = profile->tenant + "/containers/" + container_id;
  meridian::Client client(*profile);

  // Write. The call returns once the object is durable on a quorum of its container's replicas.
  meridian::v1::WriteSpec spec;
  spec.set_container(container);
  spec.set_name("greetings/hello.txt");
  spec.set_content_type("text/plain");
  (*spec.mutable_metadata())["language"] = "en";
  absl::StatusOr<meridian::v1::Object> written = client.WriteObject(spec, "Hello, Meridian!\n");
  if (!written.ok()) return written.status();
  std::cout << "wrote " << written->name() << ", " << written->size_bytes() << " bytes, version "
            << written->version_id() << "\n";

  // Read. The library verifies the checksum and resumes if a connection breaks.
  meridian::v1::ReadObjectRequest read;
  read.set_container(container);
  read.set_name(spec.name());
  std::string body;
  absl::StatusOr<meridian::v1::Object> object =
      client.ReadObject(read, *meridian::MakeStringSink(&body));
  if (!object.ok()) return object.status();
  std::cout << "read back: " << body;

  // Write only if nobody was here before: refused now, since the object exists.
  spec.mutable_condition()->set_if_none_match(true);
  absl::StatusOr<meridian::v1::Object> second = client.WriteObject(spec, "Hello again!\n");
  if (meridian::ErrorReasonOf(second.status()) != "PRECONDITION_FAILED") {
    return absl::InternalError("the condition was not enforced");
  }
  std::cout << "not overwritten, as asked; current etag "
            << meridian::CurrentEtagOf(second.status()).value_or("") << "\n";

  // List what is in "greetings/".
  meridian::v1::ListObjectsRequest list;
  list.set_container(container);
  list.set_prefix("greetings/");
  meridian::PageIterator<meridian::ObjectEntry> entries = client.ListObjects(list);
  for (;;) {
    absl::StatusOr<std::optional<meridian::ObjectEntry>> entry = entries.Next();
    if (!entry.ok()) return entry.status();
    if (!entry->has_value()) break;
    std::cout << "listed: " << (*entry)->name << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: put_get PROFILE CONTAINER\n";
    return 2;
  }
  const absl::Status status = Run(argv[1], argv[2]);
  if (!status.ok()) {
    std::cerr << status << "\n";
    return 1;
  }
  return 0;
}
