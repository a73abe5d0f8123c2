#include "updater/engine/rollback_floor.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

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

// What a copy says; 0 when it is absent or damaged; an error when it exists but cannot be read. A
// newer version may add more after the two words.
Result<uint64_t> ReadCopy(const std::string& path) {
  constexpr size_t kMostBytes = 4096;
  const Result<UniqueFd> file = Open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file && file.error().code == Code::kNotFound) return 0;
  std::string text(kMostBytes, '\0');
  const auto read = file.and_then([&](const UniqueFd& fd) {
    return ReadFull(fd.get(), std::as_writable_bytes(std::span(text)));
  });
  if (!read)
    return Fail(
        Code::kFailed,
        "{}: expected an index, found that the disk does not give the file ({}): which releases "
        "are too old is not known. Reboot: the gate writes it again, if the record knows",
        path, read.error().message);
  text.resize(*read);
  uint64_t index = 0;
  std::from_chars(text.data(), text.data() + text.size(), index);
  const std::string words = WordsOf(index);
  const bool whole = text.starts_with(words + "\n") || text.starts_with(words + " ");
  return whole ? index : 0;
}

}  // namespace

Result<uint64_t> FileFloor::Read() const {
  uint64_t floor = 0;
  Result<> all;
  for (const char* copy : kCopies) {
    Result<uint64_t> read = ReadCopy(path_ + copy);
    if (!read) all = std::unexpected(read.error());
    floor = std::max(floor, read.value_or(0));
  }
  if (floor == 0) TRY(std::move(all));
  return floor;
}

Result<> FileFloor::Raise(uint64_t index) {
  Result<uint64_t> known = Read();
  if (!known && index == 0) return std::unexpected(std::move(known).error());
  return Replace(std::max(index, known.value_or(0)));
}

Result<> FileFloor::Replace(uint64_t index) {
  Result<> replaced;
  for (const char* copy : kCopies) {
    if (ReadCopy(path_ + copy) == index) continue;
    std::error_code error;  // a directory in its place is removed
    if (std::filesystem::is_directory(path_ + copy, error))
      std::filesystem::remove_all(path_ + copy, error);
    Result<> written = WriteFileAtomically(path_ + copy, WordsOf(index) + "\n");
    if (!written && replaced) replaced = std::move(written);  // the other copy is still written
  }
  return replaced;
}

std::vector<std::string> FileFloor::DropUnreadable() {
  std::vector<std::string> dropped;
  for (const char* copy : kCopies) {
    const Result<uint64_t> read = ReadCopy(path_ + copy);
    if (read) continue;
    dropped.push_back(read.error().message);
    std::error_code error;
    std::filesystem::remove_all(path_ + copy, error);  // if it fails, the file is found again
  }
  return dropped;
}

}  // namespace hostos
