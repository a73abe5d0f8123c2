// What the fuzz targets share. Each is a libFuzzer program: one parser of what others write, and
// what must hold of whatever it accepts. A broken promise aborts, as a sanitizer does.
#pragma once

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#ifdef HOSTOS_FUZZ_REPLAY
#include "tests/fuzz/replay.h"
#endif
#include "updater/base/unique_fd.h"

namespace hostos {

// The body of a target, which is named as its file: FUZZ(name, input) { ... }, with the input as a
// std::string_view. libFuzzer runs it (`dev fuzz`), or a test case over its corpus (replay.h).
#ifdef HOSTOS_FUZZ_REPLAY
#define FUZZ(name, input)                    \
  static void Fuzz_##name(std::string_view); \
  TEST_CASE("fuzz: " #name) {                \
    hostos::Replay(#name, Fuzz_##name);      \
  }                                          \
  static void Fuzz_##name([[maybe_unused]] std::string_view input)
#else
#define FUZZ(name, input)                                                   \
  static void Fuzz_##name(std::string_view);                                \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    Fuzz_##name({reinterpret_cast<const char*>(data), size});               \
    return 0;                                                               \
  }                                                                         \
  static void Fuzz_##name([[maybe_unused]] std::string_view input)
#endif

#define PROMISE(holds)                                                         \
  do {                                                                         \
    if (!(holds)) {                                                            \
      std::fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #holds); \
      std::abort();                                                            \
    }                                                                          \
  } while (false)

// What a parser accepts is written as a text, which it accepts as the same.
template <class Parse>
void RoundTrips(std::string_view input, Parse parse) {
  const auto accepted = parse(input);
  if (!accepted) return;
  const std::string text = ToJson(*accepted);
  const auto again = parse(text);
  PROMISE(again && ToJson(*again) == text);
}

// A file in memory, with a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    PROMISE(fd_ && WriteFull(fd_.get(), AsBytes(content)));
    PROMISE(::lseek(fd_.get(), 0, SEEK_SET) == 0);
  }
  int fd() const { return fd_.get(); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd()); }

 private:
  UniqueFd fd_;
};

}  // namespace hostos
