// A shared library that takes the encryption out of a meridiand it is preloaded into, for the
// positive control of at_rest_test: OpenSSL's functions that encrypt and decrypt data copy it
// instead, and every tag is the right one, if they are called by the main program. Calls by other
// libraries, TLS above all, pass through.
#include <dlfcn.h>
#include <link.h>
#include <openssl/evp.h>

#include <cstdint>
#include <cstring>

namespace {

struct Range {
  uintptr_t begin = UINTPTR_MAX;
  uintptr_t end = 0;
};

// The first object of the list is the main program.
int TakeFirst(dl_phdr_info* info, size_t, void* out) {
  auto* range = static_cast<Range*>(out);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    const uintptr_t begin = info->dlpi_addr + header.p_vaddr;
    if (begin < range->begin) range->begin = begin;
    if (begin + header.p_memsz > range->end) range->end = begin + header.p_memsz;
  }
  return 1;
}

bool InMainProgram(const void* caller) {
  static const Range range = [] {
    Range found;
    dl_iterate_phdr(TakeFirst, &found);
    return found;
  }();
  const auto address = reinterpret_cast<uintptr_t>(caller);
  return address >= range.begin && address < range.end;
}

template <typename Function>
Function* Next(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

int Copy(unsigned char* out, int* out_size, const unsigned char* in, int size) {
  std::memmove(out, in, static_cast<size_t>(size));
  *out_size = size;
  return 1;
}

}  // namespace

extern "C" {

int EVP_CipherUpdate(EVP_CIPHER_CTX* context, unsigned char* out, int* out_size,
                     const unsigned char* in, int size) {
  static auto* const next = Next(&EVP_CipherUpdate, "EVP_CipherUpdate");
  // Without `out` it is additional data.
  if (out != nullptr && InMainProgram(__builtin_return_address(0))) {
    return Copy(out, out_size, in, size);
  }
  return next(context, out, out_size, in, size);
}

int EVP_EncryptUpdate(EVP_CIPHER_CTX* context, unsigned char* out, int* out_size,
                      const unsigned char* in, int size) {
  static auto* const next = Next(&EVP_EncryptUpdate, "EVP_EncryptUpdate");
  if (out != nullptr && InMainProgram(__builtin_return_address(0))) {
    return Copy(out, out_size, in, size);
  }
  return next(context, out, out_size, in, size);
}

int EVP_CipherFinal_ex(EVP_CIPHER_CTX* context, unsigned char* out, int* out_size) {
  static auto* const next = Next(&EVP_CipherFinal_ex, "EVP_CipherFinal_ex");
  const int result = next(context, out, out_size);
  // Else the tag would be that of other data.
  const bool opens = EVP_CIPHER_CTX_is_encrypting(context) == 0;
  return opens && InMainProgram(__builtin_return_address(0)) ? 1 : result;
}

}  // extern "C"
