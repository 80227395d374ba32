#include "storage/store/scrub_state.h"

#include "base/crc32c.h"
#include "storage/store/codec.h"

namespace meridian::storage {
namespace {

constexpr std::string_view kMagic = "MRDNSCRB";
constexpr uint32_t kVersion = 1;
constexpr size_t kCrcBytes = 4;

}  // namespace

std::string EncodeScrubState(const ScrubState& state) {
  Encoder out;
  out.Bytes(kMagic).U32(kVersion).U8(static_cast<uint8_t>(state.phase));
  out.U64(state.table).U64(state.table_limit);
  out.U8(static_cast<uint8_t>(state.chunk.size())).Bytes(state.chunk);
  out.U64(state.pass_begin_us).U64(state.last_pass_end_us);
  out.U64(state.verified_bytes).U64(state.total_bytes);
  out.U64(state.corrupt).U64(state.corrupt_before);
  std::string bytes = out.Take();
  Encoder crc;
  crc.U32(Crc32c(bytes));
  return bytes + crc.Take();
}

absl::StatusOr<ScrubState> DecodeScrubState(std::string_view bytes) {
  const absl::Status damaged = absl::DataLossError("the state of the scrub is damaged");
  if (bytes.size() < kMagic.size() + kCrcBytes || !bytes.starts_with(kMagic)) return damaged;
  const std::string_view body = bytes.substr(0, bytes.size() - kCrcBytes);
  if (Decoder(bytes.substr(body.size())).U32() != Crc32c(body)) return damaged;
  Decoder in(body.substr(kMagic.size()));
  if (in.U32() != kVersion) {
    return absl::FailedPreconditionError("the state of the scrub is of a newer version");
  }
  ScrubState state;
  const uint8_t phase = in.U8();
  if (phase > static_cast<uint8_t>(ScrubState::Phase::kChunks)) return damaged;
  state.phase = static_cast<ScrubState::Phase>(phase);
  state.table = in.U64();
  state.table_limit = in.U64();
  state.chunk = std::string(in.Bytes(in.U8()));
  state.pass_begin_us = in.U64();
  state.last_pass_end_us = in.U64();
  state.verified_bytes = in.U64();
  state.total_bytes = in.U64();
  state.corrupt = in.U64();
  state.corrupt_before = in.U64();
  if (!in.done()) return damaged;
  return state;
}

}  // namespace meridian::storage
