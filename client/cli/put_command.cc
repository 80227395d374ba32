#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>

#include "base/status.h"
#include "client/cli/commands.h"
#include "client/cli/folder_walk.h"
#include "client/cli/target_folder.h"
#include "client/cli/transfer.h"
#include "client/cli/transfer_pool.h"

namespace meridian::cli {
namespace {

absl::Status AddMetadata(const std::vector<std::string>& pairs, v1::WriteSpec& spec) {
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError("--metadata wants KEY=VALUE, not " + Printable(pair));
    }
    (*spec.mutable_metadata())[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return absl::OkStatus();
}

std::string BaseName(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

// One body under one name.
absl::Status PutBody(Context& context, v1::WriteSpec spec, ByteSource& body) {
  ASSIGN_OR_RETURN(Client * client, context.client());
  Progress progress(context.err(), ChooseStyle(context.json), "put");
  if (body.size()) progress.SetTotal(1, static_cast<int64_t>(*body.size()));
  CountingSource counting(body, progress);
  absl::StatusOr<v1::Object> object = client->WriteObject(spec, counting, context.call_options());
  const Progress::Summary summary = progress.Finish();
  if (!object.ok()) return object.status();
  context.Print(
      "put " + Printable(object->name()) + ", " +
          HumanBytes(static_cast<double>(object->size_bytes())) + ", crc32c " +
          HexCrc32c(object->crc32c()) + ", " +
          HumanBytes(static_cast<double>(summary.bytes) / std::max(summary.seconds, 1e-6)) + "/s",
      ToJson(*object));
  return absl::OkStatus();
}

// A folder's files under a prefix, without those that are there already.
class FolderPut {
 public:
  FolderPut(Context& context, Client& client, v1::WriteSpec pattern, std::string prefix,
            const TransferOptions& options)
      : context_(context),
        client_(client),
        pattern_(std::move(pattern)),
        prefix_(std::move(prefix)),
        options_(options),
        progress_(context.err(), ChooseStyle(context.json), "put"),
        remote_(client.ListObjects(ListRequest(), context.call_options())) {}

  absl::Status Run() {
    CountTotal();
    RETURN_IF_ERROR(AdvanceRemote());
    FolderWalk walk(options_.source, [this](const std::string& path, const std::string& why) {
      progress_.Note("skipped: " + Printable(path) + ": " + why);
    });
    absl::Status listing;
    {
      TransferPool pool(options_.jobs);
      listing = SubmitAll(walk, pool);
    }
    absl::Status result = Conclude(context_, progress_, "put");
    return listing.ok() ? result : listing;
  }

 private:
  v1::ListObjectsRequest ListRequest() const {
    v1::ListObjectsRequest request;
    request.set_container(pattern_.container());
    request.set_prefix(prefix_);
    return request;
  }

  // For the bar only: what changes meanwhile does no harm.
  void CountTotal() {
    int64_t files = 0;
    int64_t bytes = 0;
    FolderWalk walk(options_.source, [](const std::string&, const std::string&) {});
    for (;;) {
      auto file = walk.Next();
      if (!file.ok()) continue;
      if (!file->has_value()) break;
      ++files;
      bytes += static_cast<int64_t>((*file)->size_bytes);
    }
    progress_.SetTotal(files, bytes);
  }

  absl::Status SubmitAll(FolderWalk& walk, TransferPool& pool) {
    while (!stopped_) {
      auto file = walk.Next();
      if (!file.ok()) {
        progress_.FileFailed(options_.source, file.status());
        continue;
      }
      if (!file->has_value()) break;
      const std::string name = prefix_ + (*file)->name;
      while (next_remote_ && next_remote_->name < name) RETURN_IF_ERROR(AdvanceRemote());
      std::optional<v1::Object> there;
      if (next_remote_ && next_remote_->name == name) there = next_remote_->object;
      pool.Submit([this, file = **std::move(file), name, there] { PutOne(file, name, there); });
    }
    return absl::OkStatus();
  }

  absl::Status AdvanceRemote() {
    ASSIGN_OR_RETURN(next_remote_, remote_.Next());
    return absl::OkStatus();
  }

  void PutOne(const LocalFile& file, const std::string& name,
              const std::optional<v1::Object>& there) {
    if (stopped_) return;
    if (there && IsIdentical(file, *there)) {
      progress_.FileSkipped(static_cast<int64_t>(file.size_bytes));
      return;
    }
    const absl::Status status = Write(file, name);
    if (status.ok()) {
      progress_.FileDone();
      return;
    }
    progress_.FileFailed(file.path, status);
    if (ConcernsAllFiles(status)) stopped_ = true;
  }

  static bool IsIdentical(const LocalFile& file, const v1::Object& there) {
    if (static_cast<uint64_t>(there.size_bytes()) != file.size_bytes) return false;
    const OwnedFd fd(open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return false;
    auto checksum = ChecksumOfFile(fd.get());
    return checksum.ok() && *checksum == there.crc32c();
  }

  absl::Status Write(const LocalFile& file, const std::string& name) {
    ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> body, OpenFileSource(file.path));
    CountingSource counting(*body, progress_);
    v1::WriteSpec spec = pattern_;
    spec.set_name(name);
    return client_.WriteObject(spec, counting, context_.call_options()).status();
  }

  Context& context_;
  Client& client_;
  const v1::WriteSpec pattern_;
  const std::string prefix_;
  const TransferOptions& options_;
  Progress progress_;
  PageIterator<ObjectEntry> remote_;
  std::optional<ObjectEntry> next_remote_;
  std::atomic<bool> stopped_{false};
};

absl::Status Put(Context& context, const TransferOptions& options) {
  ASSIGN_OR_RETURN(Client * client, context.client());
  ASSIGN_OR_RETURN(const Address target, context.ParseAddress(options.target));
  v1::WriteSpec spec;
  spec.set_container(target.container);
  spec.set_name(target.name);
  spec.set_content_type(options.content_type);
  RETURN_IF_ERROR(AddMetadata(options.metadata, spec));
  const bool names_folder = target.name.empty() || target.name.back() == '/';
  if (options.source == "-") {
    if (names_folder) return absl::InvalidArgumentError("put - needs a name: CONTAINER/NAME");
    return PutBody(context, spec, *MakeDescriptorSource(STDIN_FILENO));
  }
  struct stat info;
  if (stat(options.source.c_str(), &info) != 0) {
    const std::string message = options.source + ": " + std::strerror(errno);
    return errno == ENOENT ? absl::NotFoundError(message) : absl::UnknownError(message);
  }
  if (S_ISDIR(info.st_mode)) {
    const std::string prefix = names_folder ? target.name : target.name + "/";
    return FolderPut(context, *client, spec, prefix, options).Run();
  }
  if (names_folder) spec.set_name(target.name + BaseName(options.source));
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> body, OpenFileSource(options.source));
  return PutBody(context, spec, *body);
}

}  // namespace

void AddPutCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<TransferOptions>();
  CLI::App* put = app.add_subcommand(
      "put",
      "Upload a file, a folder with all that is in it, or stdin (-). Of a folder, files that are "
      "there already with the same size and CRC-32C are skipped, so a broken upload is resumed by "
      "repeating it");
  put->add_option("SOURCE", options->source, "File, folder or -")->required();
  put->add_option("CONTAINER[/NAME]", options->target,
                  "The object's name; of a folder, or if it ends with '/': what goes before")
      ->required();
  put->add_option("--content-type", options->content_type, "A media type");
  put->add_option("--metadata", options->metadata, "KEY=VALUE; may be repeated")->expected(1, 64);
  put->add_option("-j,--jobs", options->jobs, "Files at a time, of a folder")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  put->callback([&context, options] {
    context.run = [&context, options] { return Put(context, *options); };
  });
}

}  // namespace meridian::cli
