#include "bootctl/esp.h"

#include <linux/fs.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "bootctl/esp_listing.h"
#include "bootctl/uki.h"

namespace hostos {
namespace {

constexpr size_t kChunk = 1 << 20;

// The path from the ESP's root.
std::string PathOf(const std::string& file) {
  return file.contains('/') ? file : "EFI/Linux/" + file;
}

// Calls `each` with the first `size` bytes of a file, one chunk at a time.
template <class Each>
Result<> ForEachChunk(int fd, uint64_t size, Each each) {
  std::vector<std::byte> buffer(std::min<uint64_t>(size, kChunk));
  for (uint64_t at = 0; at < size; at += buffer.size()) {
    const std::span<std::byte> chunk =
        std::span(buffer).first(std::min<uint64_t>(buffer.size(), size - at));
    const size_t got = TRY(PreadFull(fd, chunk, at));
    if (got < chunk.size())
      return Fail(Code::kFailed, "expected {} bytes, found {}", size, at + got);
    TRY(each(chunk));
  }
  return {};
}

Result<> Fsync(int fd, const std::string& name) {
  if (::fsync(fd) < 0) return FailErrno(name + ": fsync");
  return {};
}

}  // namespace

Result<Esp> Esp::Open(const std::string& path) {
  UniqueFd root = TRY_CONTEXT("EFI system partition", hostos::Open(path, O_RDONLY | O_DIRECTORY));
  return Esp(path, std::move(root));
}

Result<dev_t> Esp::Device() const {
  struct stat status;
  if (::fstat(root_.get(), &status) < 0) return FailErrno(path_);
  return status.st_dev;
}

Result<EspContents> Esp::Read(uint16_t machine) const {
  return ReadEspContents(path_, root_.get(), machine);
}

Result<> Esp::CheckWritable() const {
  struct statvfs status;
  if (::fstatvfs(root_.get(), &status) < 0) return FailErrno(path_);
  if (status.f_flag & ST_RDONLY)
    return Fail(
        Code::kFailed,
        "{}: the EFI system partition is mounted read-only. Nothing was changed. A FAT file "
        "system turns read-only after an error; it is checked at the next boot.",
        path_);
  return {};
}

std::string Esp::Name(const std::string& file) const {
  return std::format("{}/{}", path_, PathOf(file));
}

// Syncs the file's directory. fsync of a FAT directory writes its clusters; syncfs also writes the
// allocation table and flushes the device's cache.
Result<> Esp::Sync(const std::string& file) const {
  const std::string path = PathOf(file), name = path.substr(0, path.rfind('/'));
  UniqueFd directory = TRY_CONTEXT(path_, OpenAt(root_.get(), name, O_RDONLY | O_DIRECTORY));
  TRY(Fsync(directory.get(), path_ + "/" + name));
  if (::syncfs(directory.get()) < 0) return FailErrno(path_ + ": syncfs");
  return {};
}

Result<> Esp::Remove(std::span<const std::string> files) const {
  if (files.empty()) return {};
  for (const std::string& file : files)
    if (::unlinkat(root_.get(), PathOf(file).c_str(), 0) < 0 && errno != ENOENT)
      return FailErrno(Name(file) + ": remove");
  return Sync(files.front());
}

Result<> Esp::Rename(const std::string& from, const std::string& to) const {
  if (::renameat2(root_.get(), PathOf(from).c_str(), root_.get(), PathOf(to).c_str(),
                  RENAME_NOREPLACE) < 0)
    return FailErrno(std::format("{}: rename to {}", Name(from), to));
  return Sync(to);
}

Result<Digest> Esp::Hash(const std::string& file) const {
  UniqueFd fd = TRY_CONTEXT(path_, OpenAt(root_.get(), PathOf(file), O_RDONLY | O_NOFOLLOW));
  struct stat status;
  if (::fstat(fd.get(), &status) < 0) return FailErrno(Name(file));
  return TRY_CONTEXT(Name(file), HashFile(fd.get(), static_cast<uint64_t>(status.st_size)));
}

std::optional<std::string> Esp::CommandLine(const std::string& file) const {
  const auto uki =
      OpenAt(root_.get(), PathOf(file), O_RDONLY | O_NOFOLLOW).and_then([](const UniqueFd& fd) {
        return ReadUki(fd.get());
      });
  return uki && *uki ? std::optional((*uki)->command_line) : std::nullopt;
}

Result<> Esp::Write(const std::string& temporary, int source, uint64_t size,
                    const Digest& digest) const {
  UniqueFd fd =
      TRY_CONTEXT(path_, OpenAt(root_.get(), PathOf(temporary),
                                O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  TRY(ForEachChunk(source, size,
                   [&](std::span<const std::byte> chunk) { return WriteFull(fd.get(), chunk); }));
  TRY(Fsync(fd.get(), Name(temporary)));
  // Drops the clean pages from the cache, so that the hash covers what the medium returns.
  if (int error = ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED))
    return FailErrno("fadvise", error);
  const Digest found = TRY(HashFile(fd.get(), size));
  if (found != digest)
    return Fail(Code::kFailed,
                "read back after writing: expected SHA-256 {}, found {}; the medium may be failing",
                digest.Hex(), found.Hex());
  return fd.Close();
}

Result<> Esp::Install(const std::string& file, const std::string& temporary, int source,
                      uint64_t size, const Digest& digest) const {
  Result<> done = Write(temporary, source, size, digest);
  if (done) done = Rename(temporary, file);
  if (done) return {};
  (void)Remove(std::span(&temporary, 1));  // the first error says more
  return std::unexpected(std::move(done).error().Wrap(Name(temporary)));
}

Result<> Esp::InstallType1(const std::string& file, std::string_view text) const {
  for (const char* directory : {"loader", "loader/entries"})
    if (::mkdirat(root_.get(), directory, S_IRWXU) < 0 && errno != EEXIST)
      return FailErrno(path_ + "/" + directory);
  UniqueFd source(::memfd_create("entry", MFD_CLOEXEC));
  if (!source) return FailErrno("memfd_create");
  TRY(WriteFull(source.get(), AsBytes(text)));
  return Install(file, file + ".tmp", source.get(), text.size(), Sha256::Of(AsBytes(text)));
}

}  // namespace hostos
