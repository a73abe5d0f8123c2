#include "images/sbom/root_files.h"

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <filesystem>
#include <ranges>

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxList = 16 << 20, kMaxLists = 256 << 20;

// dpkg's lists name some files by the links that the root has in place of /bin and /lib.
std::string Merged(std::string_view path) {
  for (const std::string_view link : {"/bin/", "/lib/", "/lib64/", "/sbin/"})
    if (path.starts_with(link)) return "/usr" + std::string(path);
  return std::string(path);
}

}  // namespace

Result<RootFiles> RootFiles::Open(const std::string& directory) {
  UniqueFd fd = TRY(hostos::Open(directory, O_PATH | O_DIRECTORY));
  return RootFiles(directory, std::move(fd));
}

Result<UniqueFd> RootFiles::OpenFile(const std::string& path) const {
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;  // no pipe holds it up
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  UniqueFd file(
      static_cast<int>(::syscall(SYS_openat2, fd_.get(), path.c_str(), &how, sizeof how)));
  if (!file) return FailErrno(directory_ + path);
  struct stat status;
  if (::fstat(file.get(), &status) < 0) return FailErrno(directory_ + path);
  if (!S_ISREG(status.st_mode))
    return Fail(Code::kFailed, "{}{}: expected a regular file, found another kind", directory_,
                path);
  return file;
}

Result<std::optional<std::string>> RootFiles::Read(const std::string& path, size_t cap) const {
  Result<UniqueFd> file = OpenFile(path);
  if (!file && file.error().code == Code::kNotFound) return std::nullopt;
  const UniqueFd opened = TRY(std::move(file));
  struct stat status;
  if (::fstat(opened.get(), &status) < 0) return FailErrno(directory_ + path);
  if (std::cmp_greater(status.st_size, cap))
    return Fail(Code::kFailed, "{}{}: expected at most {} bytes, found {}", directory_, path, cap,
                status.st_size);
  std::string text(static_cast<size_t>(status.st_size), '\0');
  text.resize(TRY_CONTEXT(directory_ + path,
                          ReadFull(opened.get(), std::as_writable_bytes(std::span(text)))));
  return text;
}

Result<std::vector<std::string>> RootFiles::Executables() const {
  std::vector<std::string> paths;
  const std::string usr = directory_ + "/usr";
  std::error_code error;
  for (fs::recursive_directory_iterator entry(usr, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string path = entry->path().string().substr(directory_.size());
    if (path == "/usr/lib/sysimage") entry.disable_recursion_pending();
    const fs::file_status status = entry->symlink_status(error);
    constexpr fs::perms kExecute =
        fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec;
    if (!error && fs::is_regular_file(status) &&
        (status.permissions() & kExecute) != fs::perms::none)
      paths.push_back(path);
  }
  if (error) return FailErrno(usr, error.value());
  std::ranges::sort(paths);
  return paths;
}

Result<FileOwners> FileOwners::Load(const RootFiles& root,
                                    const std::vector<DebianPackage>& packages) {
  FileOwners owners;
  size_t total = 0;
  for (size_t i = 0; i < packages.size(); i++) {
    const std::string info = std::format("{}/info/{}", kDpkgPath, packages[i].name);
    // Where a package may be installed for several architectures, its files' names have one.
    auto list = TRY(root.Read(std::format("{}:{}.list", info, packages[i].architecture), kMaxList));
    if (!list) list = TRY(root.Read(info + ".list", kMaxList));
    if (!list)
      return Fail(Code::kFailed, "{}{}.list: expected the files of the package, found none",
                  root.directory(), info);
    total += list->size();
    if (total > kMaxLists)
      return Fail(Code::kFailed, "{}{}/info: expected at most {} bytes of lists, found more",
                  root.directory(), kDpkgPath, kMaxLists);
    for (const auto line : std::views::split(*list, '\n'))
      owners.owners_.try_emplace(Merged(std::string_view(line)), i);
  }
  return owners;
}

std::optional<size_t> FileOwners::Of(const std::string& path) const {
  const auto owner = owners_.find(path);
  return owner == owners_.end() ? std::nullopt : std::optional(owner->second);
}

}  // namespace hostos
