#include "images/image_overlay.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "images/image_values.h"
#include "images/metadata_files.h"
#include "images/program.h"
#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// Before HostOS's own, 10-hostos.preset: the first line about a unit counts.
constexpr const char* kPreset = "/usr/lib/systemd/system-preset/05-image.preset";
constexpr const char* kUnitFolders[] = {"/usr/lib/systemd/system/", "/etc/systemd/system/"};

// Everything below a directory, sorted, each path from there on.
Result<std::vector<fs::path>> Below(const fs::path& directory) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error))
    paths.push_back(entry->path().lexically_relative(directory));
  if (error) return FailErrno(directory.string(), error.value());
  std::ranges::sort(paths);
  return paths;
}

// One file or link, over what was laid there before.
Result<> LayFile(const LaidFiles& files, const fs::path& source, const fs::path& path,
                 const fs::path& directory) {
  if (!IsPathInImage(path.string()) || path == "/")
    return Fail(Code::kUsage,
                "{}: [files] expected a path in the image, outside of the folders that belong to "
                "the node, found {}",
                files.place, path.string());
  const fs::path to = directory / path.relative_path();
  struct stat info;
  if (::lstat(source.c_str(), &info) < 0) return FailErrno(source.string());
  if (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode))
    return Fail(Code::kUsage,
                "{}: [files] expected files, folders and links, found something else: {}",
                files.place, source.string());
  TRY_CONTEXT(files.place, MakeDirectories(to.parent_path()));
  std::error_code error;
  if (fs::is_directory(fs::symlink_status(to, error)))
    return Fail(Code::kUsage,
                "{}: [files] expected a file, as {} is in {}, found a folder there already",
                files.place, path.string(), source.string());
  fs::remove(to, error);
  if (!error && S_ISLNK(info.st_mode)) fs::copy_symlink(source, to, error);
  if (!error && S_ISREG(info.st_mode)) fs::copy_file(source, to, error);
  if (error)
    return FailErrno(std::format("copy {} to {}", source.string(), to.string()), error.value());
  if (::lchown(to.c_str(), files.uid, files.gid) < 0) return FailErrno(to.string());
  // Modes in a checkout are its owner's affair, but for what can be run.
  const mode_t mode = files.mode.value_or((info.st_mode & S_IXUSR) != 0 ? 0755 : 0644);
  if (S_ISREG(info.st_mode) && ::chmod(to.c_str(), mode) < 0) return FailErrno(to.string());
  return {};
}

Result<> Lay(const LaidFiles& files, const std::string& directory) {
  const fs::path source(files.source), path(files.path);
  std::error_code error;
  if (!fs::is_directory(source, error)) return LayFile(files, source, path, directory);
  for (const fs::path& below : TRY(Below(source)))
    if (!fs::is_directory(fs::symlink_status(source / below, error)))
      TRY(LayFile(files, source / below, path / below, directory));
  return {};
}

// Whom nodes trust.
Result<> LayTrust(const ImageFile& image, const std::string& directory) {
  const std::string own = directory + "/usr/lib/hostos";
  TRY(MakeDirectories(own + "/keys.d"));
  TRY(MakeDirectories(own + "/tuf"));
  for (const std::string& keys : image.keys)
    for (const fs::path& file : TRY(Below(keys)))
      if (file.extension() == ".pub" && !file.has_parent_path()) {
        const std::string text = TRY(ReadFile(keys + "/" + file.string()));
        TRY(WriteFileAtomically(own + "/keys.d/" + file.string(), text));
      }
  const std::string root =
      image.root.empty() ? image.repo + "/" + TRY(OldestRoot(image.repo)) : image.root;
  return WriteFileAtomically(own + "/tuf/root.json", TRY(ReadFile(root)));
}

}  // namespace

Result<> StageFiles(const ImageFile& image, const std::string& directory) {
  for (const LaidFiles& files : image.files) TRY(Lay(files, directory));
  TRY(LayTrust(image, directory));
  std::string preset;
  for (const Placed& unit : image.disabled) preset += std::format("disable {}\n", unit.value);
  for (const Placed& unit : image.enabled) preset += std::format("enable {}\n", unit.value);
  if (preset.empty()) return {};
  TRY(MakeDirectories(fs::path(directory + kPreset).parent_path()));
  return WriteFileAtomically(directory + kPreset, preset);
}

Result<Digest> DigestOfTree(const std::string& directory) {
  Sha256 digest;
  for (const fs::path& path : TRY(Below(directory))) {
    TRY(CheckInterrupt());
    const fs::path file = directory / path;
    struct stat info;
    if (::lstat(file.c_str(), &info) < 0) return FailErrno(file.string());
    std::string content;
    std::error_code error;
    if (S_ISLNK(info.st_mode)) content = fs::read_symlink(file, error);
    if (S_ISREG(info.st_mode)) {
      const UniqueFd open = TRY(Open(file, O_RDONLY | O_NOFOLLOW));
      content = TRY(HashFile(open.get(), static_cast<uint64_t>(info.st_size))).Hex();
    }
    digest.Update(AsBytes(std::format("{}\n{:o} {} {}\n{}\n", path.string(), info.st_mode,
                                      info.st_uid, info.st_gid, content)));
  }
  return digest.Finish();
}

Result<> CheckUnits(const ImageFile& image, const std::string& tree) {
  for (const Placed& unit : image.enabled) {
    // agent@one.service is made of agent@.service.
    const size_t at = unit.value.find('@');
    const std::string file =
        at == std::string::npos
            ? unit.value
            : unit.value.substr(0, at + 1) + fs::path(unit.value).extension().string();
    std::error_code error;
    if (std::ranges::none_of(kUnitFolders, [&](const char* folder) {
          return fs::exists(fs::symlink_status(tree + folder + file, error));
        }))
      return Fail(Code::kUsage,
                  "{}: [units] enable: expected a unit of the image, found {}, which no package "
                  "and no file brings",
                  unit.place, unit.value);
  }
  return {};
}

}  // namespace hostos
