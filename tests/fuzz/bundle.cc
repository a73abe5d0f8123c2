// A bundle whose headers have valid checksums, so that the parser reads what they protect.
#include <algorithm>
#include <format>
#include <numeric>

#include "tests/fuzz/fuzz.h"
#include "updater/source/archive.h"

using namespace hostos;

namespace {

constexpr size_t kBlock = 512, kChecksum = 148, kChecksumSize = 8;

void MendChecksum(std::string& bundle, size_t header) {
  std::ranges::fill_n(&bundle[header + kChecksum], kChecksumSize, ' ');
  const unsigned sum =
      std::accumulate(&bundle[header], &bundle[header] + kBlock, 0u,
                      [](unsigned total, char byte) { return total + static_cast<uint8_t>(byte); });
  std::ranges::copy(std::format("{:07o}", sum) + '\0', &bundle[header + kChecksum]);
}

}  // namespace

FUZZ(bundle, input) {
  std::string bundle(input);
  for (size_t at = bundle.find("ustar"); at != std::string::npos; at = bundle.find("ustar", at + 1))
    if (const size_t header = at / kBlock * kBlock; header + kBlock <= bundle.size())
      MendChecksum(bundle, header);
  const MemoryFile file(bundle);
  Result<Archive> archive = Archive::Open(file.path());
  if (!archive) return;
  for (size_t header = 0; header + kBlock <= bundle.size(); header += kBlock) {
    const std::string name(bundle.c_str() + header, ::strnlen(bundle.c_str() + header, 100));
    const Result<Archive::File> found = archive->OpenFile(name);
    if (!found) continue;
    PROMISE(found->size <= bundle.size());
    const Result<std::string> content = archive->Fetch(name, bundle.size());
    PROMISE(content && content->size() == found->size && bundle.contains(*content));
    PROMISE(found->size == 0 || !archive->Fetch(name, found->size - 1));
  }
}
