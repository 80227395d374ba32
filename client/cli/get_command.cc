#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>

#include "base/status.h"
#include "client/cli/commands.h"
#include "client/cli/target_folder.h"
#include "client/cli/transfer.h"
#include "client/cli/transfer_pool.h"

namespace meridian::cli {
namespace {

v1::ReadObjectRequest RequestFor(const Address& address, const std::string& version) {
  v1::ReadObjectRequest request;
  request.set_container(address.container);
  request.set_name(address.name);
  request.set_version_id(version);
  return request;
}

// Reads the object to an open descriptor.
absl::StatusOr<v1::Object> ReadTo(Context& context, Client& client,
                                  const v1::ReadObjectRequest& request, int fd,
                                  Progress& progress) {
  const std::unique_ptr<ByteSink> sink = MakeDescriptorSink(fd);
  CountingSink counting(*sink, progress);
  return client.ReadObject(request, counting, context.call_options());
}

// The folder and the file's name in it that a target path means.
struct Place {
  std::string folder;
  std::string name;
};

absl::StatusOr<Place> PlaceFor(const std::string& object_name, const std::string& target) {
  const std::string base = object_name.substr(object_name.rfind('/') + 1);
  struct stat info;
  const bool folder = target.empty() || target.back() == '/' ||
                      (stat(target.c_str(), &info) == 0 && S_ISDIR(info.st_mode));
  Place place;
  if (folder) {
    place = {target.empty() ? "." : target, base};
  } else {
    const size_t slash = target.rfind('/');
    place.folder = slash == std::string::npos ? "." : target.substr(0, slash + 1);
    place.name = target.substr(slash + 1);
  }
  RETURN_IF_ERROR(CheckRelativeName(place.name));
  return place;
}

// A pipe, a device: written in place, there is nothing to replace.
bool IsSpecial(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

absl::StatusOr<v1::Object> GetToFile(Context& context, Client& client, const Address& address,
                                     const TransferOptions& options, Progress& progress) {
  const v1::ReadObjectRequest request = RequestFor(address, options.version);
  if (options.target == "-") return ReadTo(context, client, request, STDOUT_FILENO, progress);
  if (IsSpecial(options.target)) {
    const OwnedFd fd(open(options.target.c_str(), O_WRONLY | O_CLOEXEC));
    if (fd.get() < 0) return absl::UnknownError(options.target + ": " + std::strerror(errno));
    return ReadTo(context, client, request, fd.get(), progress);
  }
  ASSIGN_OR_RETURN(const Place place, PlaceFor(address.name, options.target));
  ASSIGN_OR_RETURN(const TargetFolder folder, TargetFolder::Open(place.folder));
  ASSIGN_OR_RETURN(NewFile file, folder.Create(place.name));
  ASSIGN_OR_RETURN(v1::Object object, ReadTo(context, client, request, file.fd(), progress));
  RETURN_IF_ERROR(file.Commit());
  return object;
}

absl::Status GetOne(Context& context, Client& client, const Address& address,
                    const TransferOptions& options) {
  Progress progress(context.err(), ChooseStyle(context.json), "get");
  absl::StatusOr<v1::Object> object = GetToFile(context, client, address, options, progress);
  const Progress::Summary summary = progress.Finish();
  if (!object.ok()) return object.status();
  // With `-`, stdout is the object's.
  if (options.target == "-") return absl::OkStatus();
  context.Print(
      "got " + Printable(object->name()) + ", " +
          HumanBytes(static_cast<double>(object->size_bytes())) + ", " +
          HumanBytes(static_cast<double>(summary.bytes) / std::max(summary.seconds, 1e-6)) + "/s",
      ToJson(*object));
  return absl::OkStatus();
}

// All objects of a prefix into a folder, without those that are there already.
class FolderGet {
 public:
  FolderGet(Context& context, Client& client, Address prefix, TargetFolder folder, int jobs)
      : context_(context),
        client_(client),
        prefix_(std::move(prefix)),
        folder_(std::move(folder)),
        jobs_(jobs),
        progress_(context.err(), ChooseStyle(context.json), "get") {}

  absl::Status Run() {
    absl::Status listing;
    {
      TransferPool pool(jobs_);
      listing = SubmitAll(pool);
    }
    absl::Status result = Conclude(context_, progress_, "got");
    return listing.ok() ? result : listing;
  }

 private:
  absl::Status SubmitAll(TransferPool& pool) {
    v1::ListObjectsRequest request;
    request.set_container(prefix_.container);
    request.set_prefix(prefix_.name);
    PageIterator<ObjectEntry> entries = client_.ListObjects(request, context_.call_options());
    while (!stopped_) {
      ASSIGN_OR_RETURN(std::optional<ObjectEntry> entry, entries.Next());
      if (!entry) break;
      if (!entry->object) continue;
      pool.Submit([this, object = *std::move(entry->object)] { GetAndCount(object); });
    }
    return absl::OkStatus();
  }

  void GetAndCount(const v1::Object& object) {
    if (stopped_) return;
    const std::string name = object.name().substr(prefix_.name.size());
    if (folder_.HasIdentical(name, static_cast<uint64_t>(object.size_bytes()), object.crc32c())) {
      progress_.FileSkipped(object.size_bytes());
      return;
    }
    const absl::Status status = GetInto(object, name);
    if (status.ok()) {
      progress_.FileDone();
      return;
    }
    progress_.FileFailed(object.name(), status);
    if (ConcernsAllFiles(status)) stopped_ = true;
  }

  absl::Status GetInto(const v1::Object& object, const std::string& name) {
    ASSIGN_OR_RETURN(NewFile file, folder_.Create(name));
    const v1::ReadObjectRequest request = RequestFor({prefix_.container, object.name()}, "");
    RETURN_IF_ERROR(ReadTo(context_, client_, request, file.fd(), progress_).status());
    return file.Commit();
  }

  Context& context_;
  Client& client_;
  const Address prefix_;
  const TargetFolder folder_;
  const int jobs_;
  Progress progress_;
  std::atomic<bool> stopped_{false};
};

absl::Status Get(Context& context, const TransferOptions& options) {
  ASSIGN_OR_RETURN(Client * client, context.client());
  ASSIGN_OR_RETURN(Address address, context.ParseAddress(options.source));
  const bool names_folder = address.name.empty() || address.name.back() == '/';
  if (!options.recursive && !names_folder) return GetOne(context, *client, address, options);
  if (options.target == "-" || !options.version.empty()) {
    return absl::InvalidArgumentError("a folder cannot be got to stdout or by version");
  }
  if (!names_folder) address.name += "/";
  ASSIGN_OR_RETURN(TargetFolder folder,
                   TargetFolder::Open(options.target.empty() ? "." : options.target));
  return FolderGet(context, *client, address, std::move(folder), options.jobs).Run();
}

}  // namespace

void AddGetCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<TransferOptions>();
  CLI::App* get = app.add_subcommand(
      "get",
      "Download an object, or all below CONTAINER or CONTAINER/PREFIX/. Files that are there "
      "already with the same size and CRC-32C are skipped; nothing is ever written outside the "
      "target folder");
  get->add_option("CONTAINER[/NAME]", options->source, "Ends with '/' or has no name: a folder")
      ->required();
  get->add_option("TARGET", options->target, "File, folder or - for stdout; default: here");
  get->add_flag("-r,--recursive", options->recursive, "NAME is a folder");
  get->add_option("--version", options->version, "This version instead of the current one");
  get->add_option("-j,--jobs", options->jobs, "Files at a time, of a folder")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  get->callback([&context, options] {
    context.run = [&context, options] { return Get(context, *options); };
  });
}

}  // namespace meridian::cli
