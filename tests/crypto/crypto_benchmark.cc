// What encryption costs an object. Run with: bazel run -c opt //tests/crypto:crypto_benchmark
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "crypto/aes_gcm.h"
#include "crypto/chunk_cipher.h"
#include "crypto/container_keys.h"
#include "crypto/ctr_cipher.h"
#include "crypto/hkdf.h"
#include "crypto/segment_sealer.h"
#include "tests/crypto/testing.h"

namespace meridian::crypto {
namespace {

RunIdentity Identity() {
  return {IdOf<TenantId>(1), IdOf<ContainerId>(2), IdOf<ObjectId>(3), IdOf<RunId>(4)};
}

ContainerKeys NewContainerKeys() {
  return ContainerKeys(IdOf<TenantId>(1), IdOf<ContainerId>(2), 1, CountingKey(), CountingKey(32));
}

void BM_SealFrame(benchmark::State& state) {
  AesGcm cipher(CountingKey());
  std::string bytes(static_cast<size_t>(state.range(0)) + kTagBytes, 'x');
  const std::string nonce(kNonceBytes, 'n');
  for (auto _ : state) {
    cipher.Seal(nonce, "aad", {bytes.data(), bytes.size() - kTagBytes}, bytes.data());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_SealFrame)->Arg(4096)->Arg(65536);

void BM_RekeyThreadCipher(benchmark::State& state) {
  const SecretKey key = CountingKey();
  for (auto _ : state) {
    ThreadAesGcm cipher(key);
    benchmark::DoNotOptimize(cipher);
  }
}
BENCHMARK(BM_RekeyThreadCipher);

void BM_HkdfExtractAndExpand(benchmark::State& state) {
  const SecretKey key = CountingKey();
  const std::string salt = Counting(32);
  for (auto _ : state) benchmark::DoNotOptimize(Hkdf(key, salt).ExpandKey("info"));
}
BENCHMARK(BM_HkdfExtractAndExpand);

void BM_HkdfExpand(benchmark::State& state) {
  const Hkdf hkdf(CountingKey(), "");
  for (auto _ : state) benchmark::DoNotOptimize(hkdf.ExpandKey("info"));
}
BENCHMARK(BM_HkdfExpand);

// All that a write of one chunk does: DEK, run, body, wrapped DEK, object id, record MAC.
void BM_WriteObject(benchmark::State& state) {
  SystemRandom random;
  const ContainerKeys keys = NewContainerKeys();
  const std::string body(static_cast<size_t>(state.range(0)), 'x');
  const std::string manifest(300, 'm');
  for (auto _ : state) {
    const SecretKey dek = SecretKey::Draw(random);
    RunIdentity identity = Identity();
    identity.object = keys.ObjectIdOf("a/name/of/an/object");
    const auto run = RunCipher::Create(dek, identity, random);
    benchmark::DoNotOptimize(run->EncryptChunk(0, body));
    benchmark::DoNotOptimize(keys.WrapDek(dek, random));
    const std::string_view parts[] = {"a/name/of/an/object", manifest};
    benchmark::DoNotOptimize(keys.RecordMac(parts));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_WriteObject)->Arg(4096)->Arg(kChunkBytes);

void BM_ReadObject(benchmark::State& state) {
  SystemRandom random;
  const ContainerKeys keys = NewContainerKeys();
  const std::string body(static_cast<size_t>(state.range(0)), 'x');
  const auto writer = RunCipher::Create(CountingKey(), Identity(), random);
  const Buffer ciphertext = *writer->EncryptChunk(0, body);
  const std::string wrapped = keys.WrapDek(CountingKey(), random);
  for (auto _ : state) {
    const SecretKey dek = *keys.UnwrapDek(wrapped);
    const auto run = *RunCipher::Open(dek, Identity(), writer->header());
    benchmark::DoNotOptimize(run->DecryptChunk(0, ciphertext.view()));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ReadObject)->Arg(4096)->Arg(kChunkBytes);

void BM_SealJournalRecord(benchmark::State& state) {
  const SegmentSealer sealer(CountingKey());
  const std::string record(static_cast<size_t>(state.range(0)), 'x');
  const std::string_view pieces[] = {record};
  std::string out(record.size() + SegmentSealer::kOverheadBytes, '\0');
  uint64_t sequence = 0;
  for (auto _ : state) sealer.Seal(sequence++, "aad", pieces, out.data());
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_SealJournalRecord)->Arg(4096)->Arg(131072);

void BM_FileCipher(benchmark::State& state) {
  const CtrCipher cipher(CountingKey());
  std::string block(static_cast<size_t>(state.range(0)), 'x');
  for (auto _ : state) cipher.Apply(4096, block.data(), block.size());
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_FileCipher)->Arg(4096);

}  // namespace
}  // namespace meridian::crypto

BENCHMARK_MAIN();
