// Fetches a release as a node does, as a program of its own that a test can kill:
//   source_fetch URL STAGING PARENT KEYS ROOT METADATA [ROOT_HASH]
// with the root hash of the release whose objects are in PARENT.
// Ends with 10 plus the code of the error, if any. Prints "done total" for every progress report,
// then the statistics and the peak memory.
#include <cstdio>
#include <fstream>

#include "tests/source/local_source.h"
#include "tests/source/release_fixture.h"

namespace {

class PrintProgress : public hostos::Progress {
 public:
  void Begin(std::string_view, std::string_view) override {}
  void Bytes(uint64_t done, uint64_t total) override {
    std::printf("%ju %ju\n", static_cast<uintmax_t>(done), static_cast<uintmax_t>(total));
    std::fflush(stdout);
  }
};

hostos::Result<> Run(char** argument) {
  std::vector<hostos::Digest> holds;
  if (argument[7]) holds.push_back(TRY(hostos::Digest::FromHex(argument[7])));
  hostos::LocalSource source({.url = argument[1],
                              .channel = "stable",
                              .architecture = "x86-64",
                              .root = argument[5],
                              .metadata = argument[6],
                              .staging = argument[2],
                              .parent = argument[3],
                              .holds = holds,
                              .key_directories = {argument[4]},
                              .seal_formats = {1},
                              .http = {.stall_timeout = hostos::Seconds(1),
                                       .attempts = 2,
                                       .backoff = hostos::Milliseconds(1)}});
  hostos::Target target = TRY(source.Resolve(std::nullopt, hostos::kNow));
  PrintProgress progress;
  hostos::FetchStats stats = TRY(source.Fetch(target, progress));
  TRY(source.Open(target));
  std::printf("fetched %ju objects, %ju bytes\n", static_cast<uintmax_t>(stats.objects),
              static_cast<uintmax_t>(stats.bytes));
  return {};
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 7) return 2;
  auto result = Run(arguments);
  if (!result) std::fprintf(stderr, "source_fetch: %s\n", result.error().message.c_str());
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM")) std::printf("%s\n", line.c_str());
  }
  return result ? 0 : 10 + static_cast<int>(result.error().code);
}
