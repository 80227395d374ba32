#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/client/fake_cluster.h"

namespace meridian {
namespace {

grpc::Status Missing(const std::string& name) {
  v1::ResourceMissing detail;
  detail.set_name(name);
  return FakeError(grpc::StatusCode::NOT_FOUND, v1::RESOURCE_MISSING, "no " + name, &detail);
}

grpc::Status Broken() { return {grpc::StatusCode::UNAVAILABLE, "planted: broken"}; }

}  // namespace

grpc::Status FakeError(grpc::StatusCode code, v1::ErrorReason reason, const std::string& message,
                       const google::protobuf::Message* detail) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(v1::ErrorReason_Name(reason));
  info.set_domain("meridian");
  status.add_details()->PackFrom(info);
  if (detail != nullptr) status.add_details()->PackFrom(*detail);
  return {code, message, status.SerializeAsString()};
}

void FakeStore::FailNext(grpc::Status status) {
  absl::MutexLock lock(&mutex_);
  failures_.push_back(std::move(status));
}
void FakeStore::LoseNextAnswer() {
  absl::MutexLock lock(&mutex_);
  lose_answer_ = true;
}
void FakeStore::HangNext() {
  absl::MutexLock lock(&mutex_);
  hang_ = true;
}
void FakeStore::BreakNextReadAfter(int64_t bytes, std::function<void()> then) {
  absl::MutexLock lock(&mutex_);
  read_fault_.break_after = bytes;
  read_fault_.then = std::move(then);
}
void FakeStore::DamageNextRead() {
  absl::MutexLock lock(&mutex_);
  read_fault_.damaged = true;
}
void FakeStore::BreakNextUploadAfter(int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  break_upload_after_ = bytes;
}
int FakeStore::calls() const {
  absl::MutexLock lock(&mutex_);
  return calls_;
}
int FakeStore::effects() const {
  absl::MutexLock lock(&mutex_);
  return effects_;
}
int64_t FakeStore::read_bytes() const {
  absl::MutexLock lock(&mutex_);
  return read_bytes_;
}
std::optional<std::string> FakeStore::Content(const std::string& container,
                                              const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  auto it = objects_.find({container, name});
  if (it == objects_.end()) return std::nullopt;
  return it->second.data;
}
bool FakeStore::HasUploads() const {
  absl::MutexLock lock(&mutex_);
  return !uploads_.empty();
}

grpc::Status FakeStore::BeginCall(bool* hang) {
  absl::MutexLock lock(&mutex_);
  ++calls_;
  *hang = std::exchange(hang_, false);
  if (failures_.empty()) return grpc::Status::OK;
  grpc::Status failure = failures_.front();
  failures_.pop_front();
  return failure;
}

grpc::Status FakeStore::MaybeLoseAnswer() {
  return std::exchange(lose_answer_, false) ? Broken() : grpc::Status::OK;
}

grpc::Status FakeStore::Put(const v1::WriteSpec& spec, std::string data, v1::Object* object) {
  absl::MutexLock lock(&mutex_);
  return PutLocked(spec, std::move(data), object);
}

grpc::Status FakeStore::PutLocked(const v1::WriteSpec& spec, std::string data, v1::Object* object) {
  if (spec.has_request_id()) {
    auto done = outcomes_.find(spec.request_id().id());
    if (done != outcomes_.end()) {
      *object = done->second;
      return MaybeLoseAnswer();
    }
  }
  const Key key = {spec.container(), spec.name()};
  if (spec.condition().if_none_match() && objects_.contains(key)) {
    v1::PreconditionFailed detail;
    detail.set_current_etag(objects_[key].object.etag());
    return FakeError(grpc::StatusCode::FAILED_PRECONDITION, v1::PRECONDITION_FAILED, "exists",
                     &detail);
  }
  if (spec.has_crc32c() && spec.crc32c() != Crc32c(data)) {
    return FakeError(grpc::StatusCode::INVALID_ARGUMENT, v1::CHECKSUM_MISMATCH, "other CRC-32C");
  }
  if (spec.has_size_bytes() && spec.size_bytes() != static_cast<int64_t>(data.size())) {
    return FakeError(grpc::StatusCode::INVALID_ARGUMENT, v1::SIZE_MISMATCH, "other size");
  }
  Stored& stored = objects_[key];
  stored.object.set_container(spec.container());
  stored.object.set_name(spec.name());
  stored.object.set_version_id(absl::StrCat("version", next_id_));
  stored.object.set_etag(absl::StrCat("etag", next_id_++));
  stored.object.set_size_bytes(static_cast<int64_t>(data.size()));
  stored.object.set_crc32c(Crc32c(data));
  stored.object.set_content_type(spec.content_type());
  *stored.object.mutable_metadata() = spec.metadata();
  stored.data = std::move(data);
  *object = stored.object;
  ++effects_;
  if (spec.has_request_id()) outcomes_[spec.request_id().id()] = stored.object;
  return MaybeLoseAnswer();
}

grpc::Status FakeStore::Find(const std::string& container, const std::string& name,
                             const std::string& version_id, v1::Object* object,
                             std::string* data) const {
  absl::MutexLock lock(&mutex_);
  auto it = objects_.find({container, name});
  if (it == objects_.end() ||
      (!version_id.empty() && it->second.object.version_id() != version_id)) {
    return Missing(name);
  }
  *object = it->second.object;
  if (data != nullptr) *data = it->second.data;
  return grpc::Status::OK;
}

grpc::Status FakeStore::Delete(const v1::DeleteObjectRequest& request) {
  absl::MutexLock lock(&mutex_);
  const bool erased = objects_.erase({request.container(), request.name()}) > 0;
  return erased ? grpc::Status::OK : Missing(request.name());
}

std::string FakeStore::ObjectOf(const std::string& upload) const {
  absl::MutexLock lock(&mutex_);
  const auto found = uploads_.find(upload);
  return found == uploads_.end() ? std::string() : found->second.spec.name();
}

void FakeStore::List(const v1::ListObjectsRequest& request, const std::string& end,
                     v1::ListObjectsResponse* response) const {
  absl::MutexLock lock(&mutex_);
  // Items from this on.
  std::string from = request.page_token();
  if (from.empty() && !request.start_after().empty()) from = request.start_after() + '\x01';
  const int limit = request.page_size() > 0 ? request.page_size() : 1000;
  std::string last;
  for (const auto& [key, stored] : objects_) {
    const auto& [container, name] = key;
    if (container != request.container() || !name.starts_with(request.prefix())) continue;
    if (!end.empty() && name >= end) continue;
    std::string item = name;
    const size_t cut = request.delimiter().empty()
                           ? std::string::npos
                           : name.find(request.delimiter(), request.prefix().size());
    if (cut != std::string::npos) item = name.substr(0, cut + request.delimiter().size());
    if (item < from || item <= last) continue;
    if (response->objects_size() + response->prefixes_size() == limit) {
      response->set_next_page_token(last + '\x01');
      return;
    }
    if (cut == std::string::npos) {
      *response->add_objects() = stored.object;
    } else {
      response->add_prefixes(item);
    }
    last = item;
  }
  if (!end.empty()) response->set_next_page_token(std::max(end, last + '\x01'));
}

FakeStore::ReadFault FakeStore::BeginRead() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(read_fault_, {});
}

void FakeStore::CountRead(size_t bytes) {
  absl::MutexLock lock(&mutex_);
  read_bytes_ += static_cast<int64_t>(bytes);
}

v1::Upload FakeStore::StartUpload(const v1::StartUploadRequest& request) {
  absl::MutexLock lock(&mutex_);
  v1::Upload upload;
  upload.set_name(absl::StrCat(request.spec().container(), "/uploads/", next_id_++));
  upload.set_object_name(request.spec().name());
  uploads_[upload.name()].spec = request.spec();
  return upload;
}

grpc::Status FakeStore::GetUpload(const std::string& name, v1::Upload* upload) const {
  absl::MutexLock lock(&mutex_);
  auto it = uploads_.find(name);
  if (it == uploads_.end()) return Missing(name);
  upload->set_name(name);
  upload->set_durable_size_bytes(static_cast<int64_t>(it->second.data.size()));
  return grpc::Status::OK;
}

grpc::Status FakeStore::BeginUploadStream(const v1::WriteUploadStart& start, int64_t* break_after) {
  absl::MutexLock lock(&mutex_);
  auto it = uploads_.find(start.upload());
  if (it == uploads_.end()) return Missing(start.upload());
  if (start.offset_bytes() != static_cast<int64_t>(it->second.data.size())) {
    v1::UploadOffset detail;
    detail.set_durable_size_bytes(static_cast<int64_t>(it->second.data.size()));
    return FakeError(grpc::StatusCode::OUT_OF_RANGE, v1::UPLOAD_OFFSET, "elsewhere", &detail);
  }
  *break_after = break_upload_after_.value_or(INT64_MAX);
  break_upload_after_.reset();
  return grpc::Status::OK;
}

int64_t FakeStore::AppendUpload(const std::string& name, const std::string& data) {
  absl::MutexLock lock(&mutex_);
  std::string& all = uploads_[name].data;
  all += data;
  return static_cast<int64_t>(all.size());
}

grpc::Status FakeStore::FinishUpload(const v1::FinishUploadRequest& request, v1::Object* object) {
  absl::MutexLock lock(&mutex_);
  auto done = outcomes_.find(request.request_id().id());
  if (done != outcomes_.end()) {
    *object = done->second;
    return grpc::Status::OK;
  }
  auto it = uploads_.find(request.name());
  if (it == uploads_.end()) return Missing(request.name());
  v1::WriteSpec spec = it->second.spec;
  *spec.mutable_request_id() = request.request_id();
  if (request.has_crc32c()) spec.set_crc32c(request.crc32c());
  if (request.has_size_bytes()) spec.set_size_bytes(request.size_bytes());
  grpc::Status status = PutLocked(spec, it->second.data, object);
  if (outcomes_.contains(spec.request_id().id())) uploads_.erase(it);
  return status;
}

void FakeStore::AbortUpload(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  uploads_.erase(name);
}

}  // namespace meridian
