#include "storage/rocks/encrypted_env.h"

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "rocksdb/env_encryption.h"
#include "rocksdb/file_system.h"
#include "storage/rocks/file_prefix.h"

namespace meridian::storage {
namespace {

// Of a file whose prefix is not known to be durable yet; RocksDB never sees such a name.
constexpr char kUnnamedSuffix[] = ".unnamed";

rocksdb::Status ToRocks(const absl::Status& status) {
  if (status.ok()) return rocksdb::Status::OK();
  const std::string message(status.message());
  return absl::IsDataLoss(status) ? rocksdb::Status::Corruption(message)
                                  : rocksdb::Status::IOError(message);
}

// Gives a file its name once its first append, the encryption prefix, has been synced.
class LateNamedFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  LateNamedFile(std::unique_ptr<rocksdb::FSWritableFile> file, rocksdb::FileSystem* fs,
                std::string name)
      : FSWritableFileOwnerWrapper(std::move(file)), fs_(fs), name_(std::move(name)) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* dbg) override {
    rocksdb::IOStatus status = target()->Append(data, options, dbg);
    if (named_ || !status.ok()) return status;
    status = target()->Sync(options, dbg);
    if (status.ok()) status = fs_->RenameFile(name_ + kUnnamedSuffix, name_, options, dbg);
    // RocksDB renames CURRENT before it syncs the folder that its manifest is in: without this, a
    // power failure could leave CURRENT naming a manifest that has no name yet.
    if (status.ok()) status = SyncFolder(options, dbg);
    named_ = status.ok();
    return status;
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo&,
                           rocksdb::IODebugContext* dbg) override {
    return Append(data, options, dbg);
  }

 private:
  rocksdb::IOStatus SyncFolder(const rocksdb::IOOptions& options, rocksdb::IODebugContext* dbg) {
    std::unique_ptr<rocksdb::FSDirectory> folder;
    rocksdb::IOStatus status =
        fs_->NewDirectory(name_.substr(0, name_.rfind('/')), options, &folder, dbg);
    return status.ok() ? folder->Fsync(options, dbg) : status;
  }

  rocksdb::FileSystem* const fs_;
  const std::string name_;
  bool named_ = false;
};

class LateNamingFileSystem : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;
  const char* Name() const override { return "meridian.LateNaming"; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* dbg) override {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    rocksdb::IOStatus status =
        target()->NewWritableFile(name + kUnnamedSuffix, options, &file, dbg);
    if (!status.ok()) return status;
    *result = std::make_unique<LateNamedFile>(std::move(file), target(), name);
    return status;
  }

  rocksdb::IOStatus GetChildren(const std::string& folder, const rocksdb::IOOptions& options,
                                std::vector<std::string>* result,
                                rocksdb::IODebugContext* dbg) override {
    rocksdb::IOStatus status = target()->GetChildren(folder, options, result, dbg);
    std::erase_if(*result, [](const std::string& name) { return name.ends_with(kUnnamedSuffix); });
    return status;
  }

  // RocksDB's encryption takes the prefix off the size unseen: a file without one is damage (I10).
  rocksdb::IOStatus GetFileSize(const std::string& name, const rocksdb::IOOptions& options,
                                uint64_t* size, rocksdb::IODebugContext* dbg) override {
    rocksdb::IOStatus status = target()->GetFileSize(name, options, size, dbg);
    if (status.ok() && *size < kEncryptedFilePrefixBytes) {
      return rocksdb::IOStatus::Corruption(name + ": shorter than its prefix");
    }
    return status;
  }
};

class CipherStream : public rocksdb::BlockAccessCipherStream {
 public:
  explicit CipherStream(std::unique_ptr<FileCipher> cipher) : cipher_(std::move(cipher)) {}

  size_t BlockSize() override { return 16; }
  rocksdb::Status Encrypt(uint64_t offset, char* data, size_t size) override {
    return ToRocks(cipher_->Apply(offset, data, size));
  }
  rocksdb::Status Decrypt(uint64_t offset, char* data, size_t size) override {
    return ToRocks(cipher_->Apply(offset, data, size));
  }

 protected:
  // Never called: Encrypt and Decrypt, which would, are overridden as wholes.
  void AllocateScratch(std::string&) override {}
  rocksdb::Status EncryptBlock(uint64_t, char*, char*) override {
    return rocksdb::Status::NotSupported("single blocks");
  }
  rocksdb::Status DecryptBlock(uint64_t, char*, char*) override {
    return rocksdb::Status::NotSupported("single blocks");
  }

 private:
  const std::unique_ptr<FileCipher> cipher_;
};

class Provider : public rocksdb::EncryptionProvider {
 public:
  explicit Provider(FileCipherFactory& ciphers) : ciphers_(ciphers) {}

  const char* Name() const override { return "meridian.FileCipher"; }
  size_t GetPrefixLength() const override { return kEncryptedFilePrefixBytes; }

  rocksdb::Status CreateNewPrefix(const std::string&, char* prefix, size_t size) const override {
    absl::StatusOr<std::string> wrapped = ciphers_.NewWrappedKey();
    if (!wrapped.ok()) return ToRocks(wrapped.status());
    EncodeFilePrefix(*wrapped).copy(prefix, size);
    return rocksdb::Status::OK();
  }

  rocksdb::Status AddCipher(const std::string&, const char*, size_t, bool) override {
    return rocksdb::Status::NotSupported("keys come from the node key");
  }

  rocksdb::Status CreateCipherStream(
      const std::string& name, const rocksdb::EnvOptions&, rocksdb::Slice& prefix,
      std::unique_ptr<rocksdb::BlockAccessCipherStream>* result) override {
    absl::StatusOr<std::string> wrapped = DecodeFilePrefix({prefix.data(), prefix.size()});
    if (!wrapped.ok()) return ToRocks(Annotate(wrapped.status(), name));
    absl::StatusOr<std::unique_ptr<FileCipher>> cipher = ciphers_.Open(*wrapped);
    if (!cipher.ok()) return ToRocks(Annotate(cipher.status(), name));
    *result = std::make_unique<CipherStream>(*std::move(cipher));
    return rocksdb::Status::OK();
  }

 private:
  FileCipherFactory& ciphers_;
};

class NullLogger : public rocksdb::Logger {
 public:
  using Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// Keeps RocksDB's info logs off the disk: they quote keys.
class LoglessFileSystem : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;
  const char* Name() const override { return "meridian.Logless"; }
  rocksdb::IOStatus NewLogger(const std::string&, const rocksdb::IOOptions&,
                              std::shared_ptr<rocksdb::Logger>* result,
                              rocksdb::IODebugContext*) override {
    *result = std::make_shared<NullLogger>();
    return rocksdb::IOStatus::OK();
  }
};

}  // namespace

std::unique_ptr<rocksdb::Env> NewEncryptedEnv(rocksdb::Env* base, FileCipherFactory& ciphers) {
  auto naming = std::make_shared<LateNamingFileSystem>(base->GetFileSystem());
  auto encrypting = rocksdb::NewEncryptedFS(naming, std::make_shared<Provider>(ciphers));
  return rocksdb::NewCompositeEnv(std::make_shared<LoglessFileSystem>(encrypting));
}

absl::Status RemoveUnnamedFiles(rocksdb::Env* base, const std::string& folder) {
  std::vector<std::string> names;
  rocksdb::Status status = base->GetChildren(folder, &names);
  if (status.IsNotFound()) return absl::OkStatus();
  for (const std::string& name : names) {
    if (!status.ok()) break;
    if (name.ends_with(kUnnamedSuffix)) status = base->DeleteFile(folder + "/" + name);
  }
  if (!status.ok()) return absl::UnavailableError("clean " + folder + ": " + status.ToString());
  return absl::OkStatus();
}

}  // namespace meridian::storage
