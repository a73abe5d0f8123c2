#include "bootctl/esp_listing.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <memory>

#include "bootctl/entry_name.h"
#include "bootctl/loader_lines.h"
#include "bootctl/uki.h"
#include "updater/base/text.h"

namespace hostos {
namespace {

constexpr std::string_view kLinux = "efi/linux", kType1 = "loader/entries";
constexpr int kMostDepth = 16;
constexpr size_t kMostFiles = 10000;

using Directory = std::unique_ptr<DIR, decltype([](DIR* d) { ::closedir(d); })>;

struct File : EspFile {
  bool is_directory = false;
};

class Listing {
 public:
  Listing(std::string path, int root, uint16_t machine)
      : esp_(std::move(path)), root_(root), machine_(machine) {}

  Result<EspContents> Read() {
    TRY(Walk("", 0));
    TRY(ReadConfiguration());
    std::ranges::sort(contents_.space.unknown, std::greater(),
                      &std::pair<std::string, uint64_t>::second);
    contents_.space.path = esp_;
    struct statvfs space;
    if (::fstatvfs(root_, &space) < 0) return FailErrno(esp_);
    contents_.space.size = uint64_t{space.f_blocks} * space.f_frsize;
    contents_.space.free = uint64_t{space.f_bavail} * space.f_frsize;
    return std::move(contents_);
  }

 private:
  std::string Name(const std::string& path) const { return std::format("{}/{}", esp_, path); }

  Result<std::vector<File>> Children(const std::string& directory) {
    UniqueFd fd = TRY_CONTEXT(esp_, OpenAt(root_, directory.empty() ? "." : directory,
                                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    Directory stream(::fdopendir(fd.get()));
    if (!stream) return FailErrno(Name(directory));
    (void)fd.release();  // the stream owns it now
    std::vector<File> files;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(stream.get());
      if (!entry && errno) return FailErrno(Name(directory));
      if (!entry) return files;
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (++files_ > kMostFiles)
        return Fail(Code::kFailed, "{}: more than {} files; this is no ESP of HostOS", esp_,
                    kMostFiles);
      struct stat status;
      if (::fstatat(::dirfd(stream.get()), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0)
        return FailErrno(Name(directory + "/" + name));
      files.push_back({{directory.empty() ? name : directory + "/" + name,
                        static_cast<uint64_t>(status.st_size)},
                       S_ISDIR(status.st_mode)});
    }
  }

  Result<> Walk(const std::string& directory, int depth) {
    if (depth > kMostDepth)
      return Fail(Code::kFailed, "{}: deeper than {} directories", Name(directory), kMostDepth);
    const std::string place = Lower(directory);
    for (const File& file : TRY(Children(directory))) {
      if (!file.is_directory) contents_.files.push_back(file);
      if (file.is_directory)
        TRY(Walk(file.path, depth + 1));
      else if (place == kLinux)
        TRY(AddImage(file));
      else if (place == kType1)
        TRY(AddType1(file));
      else if (IsSalvaged(Lower(file.path)))
        contents_.salvaged.push_back("./" + file.path);
      else if (!IsLoaders(Lower(file.path)))
        AddUnknown(file);
    }
    return {};
  }

  // Files that systemd-boot and the firmware need, and the credentials of the first boot.
  static bool IsLoaders(const std::string& path) {
    return path.starts_with("efi/boot/boot") || path.starts_with("efi/systemd/systemd-boot") ||
           path == "loader/loader.conf" || path == "loader/random-seed" ||
           path == "loader/entries.srel" || path.starts_with("loader/credentials/");
  }

  // Files that fsck.fat makes in the root, of clusters without a name.
  static bool IsSalvaged(const std::string& path) {
    return path.size() == 12 && path.starts_with("fsck") && path.ends_with(".rec") &&
           path.find_first_not_of("0123456789", 4) == 8;
  }

  void AddUnknown(const File& file) { contents_.space.unknown.emplace_back(file.path, file.size); }

  Result<> AddImage(const File& file) {
    const std::string name = file.path.substr(kLinux.size() + 1);
    const bool ours = IsReleaseFile(name) || IsRescueFile(name);
    if (!ours) AddUnknown(file);
    std::optional<EntryName> parsed = ParseEntryName(name);
    std::optional<Uki> uki;
    if (parsed) uki = TRY(ReadImage(file.path));
    if (!uki || uki->machine != machine_) {
      if (ours) contents_.leftovers.push_back(name);
      return {};
    }
    BootEntry entry;
    entry.file = name;
    entry.version = uki->version;
    entry.tries = parsed->tries;
    entry.root_hash = RootHashOf(*uki);
    entry.size = file.size;
    entry.sort_key = uki->sort_key;
    contents_.entries.push_back(std::move(entry));
    return {};
  }

  // Adds a Type #1 entry (UAPI.1), parsed as far as it matters for the loader's choice. Only the
  // self-test's is HostOS's own.
  Result<> AddType1(const File& file) {
    if (IsSelfTestFile(file.path))
      contents_.selftest.push_back(file.path);
    else
      AddUnknown(file);
    std::optional<EntryName> name = ParseEntryName(file.path.substr(kType1.size() + 1), ".conf");
    if (!name) return {};
    const std::string text = TRY_CONTEXT(esp_, ReadFileAt(root_, file.path, 64 << 10));
    BootEntry entry;
    entry.file = file.path;
    entry.tries = name->tries;
    entry.size = file.size;
    std::optional<std::string> image;
    bool for_this_machine = true, has_options = false;
    std::string_view rest = text, key, value;
    while (NextLoaderLine(rest, " \t", key, value)) {
      if (key == "linux" || key == "efi") image = value;
      if (key == "version") entry.version = value;
      if (key == "sort-key") entry.sort_key = value;
      if (key == "options") has_options = true;  // they replace the image's own
      if (key == "architecture")
        for_this_machine = Lower(value) == (machine_ == kMachineX64 ? "x64" : "aa64");
    }
    if (!image || !for_this_machine) return {};
    std::ranges::replace(*image, '\\', '/');
    image->erase(0, image->find_first_not_of('/'));
    if (image->empty() || ::faccessat(root_, image->c_str(), F_OK, 0) != 0) return {};
    if (Lower(*image).starts_with(kLinux) && !has_options)
      if (const Result<std::optional<Uki>> uki = ReadImage(*image); uki && *uki)
        entry.root_hash = RootHashOf(**uki);  // may fail: a folder, say, is no image
    contents_.entries.push_back(std::move(entry));
    return {};
  }

  Result<std::optional<Uki>> ReadImage(const std::string& path) {
    UniqueFd fd = TRY_CONTEXT(esp_, OpenAt(root_, path, O_RDONLY | O_NOFOLLOW));
    return TRY_CONTEXT(Name(path), ReadUki(fd.get()));
  }

  static Digest RootHashOf(const Uki& uki) {
    return uki.complete && uki.root_hash ? *uki.root_hash : Digest();
  }

  Result<> ReadConfiguration() {
    Result<std::string> text = ReadFileAt(root_, "loader/loader.conf", 64 << 10);
    if (!text && text.error().code == Code::kNotFound) return {};
    if (!text) return std::unexpected(std::move(text).error().Wrap(esp_));
    std::string_view rest = *text, key, value;
    while (NextLoaderLine(rest, " \t", key, value)) {
      contents_.settings.push_back(std::format("{} {}", key, value));
      const bool special = value.starts_with('@') && Lower(value) != "@saved";
      if (key == "default" && !special) contents_.default_entry = Lower(value);
    }
    return {};
  }

  const std::string esp_;
  const int root_;
  const uint16_t machine_;
  size_t files_ = 0;
  EspContents contents_;
};

}  // namespace

Result<EspContents> ReadEspContents(const std::string& path, int root, uint16_t machine) {
  return Listing(path, root, machine).Read();
}

}  // namespace hostos
