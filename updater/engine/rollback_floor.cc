#include "updater/engine/rollback_floor.h"

#include <algorithm>
#include <charconv>

#include "updater/base/atomic_file.h"
#include "updater/base/digest.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr const char* kCopies[] = {".0", ".1"};

std::string WordsOf(uint64_t index) {
  const std::string number = std::to_string(index);
  return std::format("{} {}", number, Sha256::Of(AsBytes(number)).Hex());
}

// What a copy says; 0 when it is absent or damaged. A newer version may say more behind the two
// words.
uint64_t ReadCopy(const std::string& path) {
  const std::string text = ReadFile(path, 4096).value_or("");
  uint64_t index = 0;
  std::from_chars(text.data(), text.data() + text.size(), index);
  const std::string words = WordsOf(index);
  const bool whole = text.starts_with(words + "\n") || text.starts_with(words + " ");
  return whole ? index : 0;
}

}  // namespace

Result<uint64_t> FileFloor::Read() const {
  uint64_t floor = 0;
  for (const char* copy : kCopies) floor = std::max(floor, ReadCopy(path_ + copy));
  return floor;
}

Result<> FileFloor::Raise(uint64_t index) {
  return Replace(std::max(index, TRY(Read())));
}

Result<> FileFloor::Replace(uint64_t index) {
  Result<> replaced;
  for (const char* copy : kCopies) {
    if (ReadCopy(path_ + copy) == index) continue;
    Result<> written = WriteFileAtomically(path_ + copy, WordsOf(index) + "\n");
    if (!written && replaced) replaced = std::move(written);  // the other one counts as well
  }
  return replaced;
}

}  // namespace hostos
