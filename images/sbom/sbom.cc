#include "images/sbom/sbom.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <queue>
#include <set>

#include "bootctl/loader_lines.h"
#include "images/sbom/elf.h"

namespace hostos {
namespace {

constexpr size_t kMaxOsRelease = 1 << 20, kMaxPrograms = 4096;

Result<Identity> ReadIdentity(const RootFiles& root) {
  const char* path = "/usr/lib/os-release";
  const auto text = TRY(root.Read(path, kMaxOsRelease));
  return TRY_CONTEXT(root.directory() + path, ParseIdentity(text.value_or("")));
}

Result<std::vector<SbomPackage>> ReadPackages(const RootFiles& root) {
  const std::string path = std::string(kDpkgPath) + "/status";
  const auto status = TRY(root.Read(path, kMaxStatus));
  if (!status)
    return Fail(Code::kFailed, "{}{}: expected the packages of the root, found none",
                root.directory(), path);
  std::vector<SbomPackage> packages;
  for (DebianPackage& package : TRY_CONTEXT(root.directory() + path, ParseStatus(*status))) {
    const auto copyright =
        TRY(root.Read(std::format("/usr/share/doc/{}/copyright", package.name), kMaxCopyright));
    Licences licences = copyright ? LicencesOf(*copyright) : Licences{};
    packages.push_back({std::move(package), std::move(licences)});
  }
  return packages;
}

std::vector<SbomSource> SourcesOf(const std::vector<SbomPackage>& packages) {
  std::map<DebianSource, bool> sources;
  for (const SbomPackage& package : packages) {
    sources[package.source] = true;
    sources[package.Described()] = true;
    for (const DebianSource& used : package.built_using) sources[used];
  }
  std::vector<SbomSource> all;
  for (const auto& [source, built_package] : sources) all.push_back({source, built_package});
  return all;
}

std::vector<size_t> Listed(const std::set<size_t>& set) {
  return {set.begin(), set.end()};
}

Result<Digest> DigestOf(const UniqueFd& file, const std::string& path) {
  struct stat status;
  if (::fstat(file.get(), &status) < 0) return FailErrno(path);
  return HashFile(file.get(), static_cast<uint64_t>(status.st_size));
}

class Finder {
 public:
  Finder(const RootFiles& root, const FileOwners& owners) : root_(root), owners_(owners) {}

  Result<SbomProgram> Program(const std::string& path) {
    const UniqueFd file = TRY(root_.OpenFile(path));
    SbomProgram program{.path = path, .digest = {}, .packages = {}, .unknown = {}};
    program.digest = TRY(DigestOf(file, path));
    std::set<size_t> packages;
    std::set<std::string> seen;
    std::queue<ElfNeeds> left;
    left.push(TRY_CONTEXT(path, ReadElfNeeds(file.get())));
    for (; !left.empty(); left.pop()) {
      for (const std::string& name : left.front().libraries) {
        if (!seen.insert(name).second) continue;
        const auto library = TRY(Library(left.front().folder, name));
        const auto owner = library ? owners_.Of(library->path) : std::nullopt;
        if (owner) packages.insert(*owner);
        if (!owner) program.unknown.push_back(name);
        if (library) left.push(library->needs);
      }
    }
    program.packages = Listed(packages);
    std::ranges::sort(program.unknown);
    return program;
  }

 private:
  struct Found {
    std::string path;
    ElfNeeds needs;
  };

  // Where the loader looks that is told nothing else.
  Result<std::optional<Found>> Library(const std::string& folder, const std::string& name) {
    if (name.contains('/')) return std::nullopt;
    for (const std::string& place :
         {"/usr/lib/" + folder, std::string("/usr/lib64"), std::string("/usr/lib")}) {
      const std::string path = place + "/" + name;
      Result<UniqueFd> file = root_.OpenFile(path);
      if (!file && file.error().code == Code::kNotFound) continue;
      const UniqueFd opened = TRY(std::move(file));
      ElfNeeds needs = TRY_CONTEXT(path, ReadElfNeeds(opened.get()));
      return Found{path, std::move(needs)};
    }
    return std::nullopt;
  }

  const RootFiles& root_;
  const FileOwners& owners_;
};

Result<std::vector<SbomProgram>> FindPrograms(const RootFiles& root, const FileOwners& owners) {
  Finder finder(root, owners);
  std::vector<SbomProgram> programs;
  for (const std::string& path : TRY(root.Executables())) {
    if (owners.Of(path)) continue;
    if (programs.size() == kMaxPrograms)
      return Fail(Code::kFailed,
                  "{}: expected at most {} programs that no package brought, found more",
                  root.directory(), kMaxPrograms);
    programs.push_back(TRY(finder.Program(path)));
  }
  return programs;
}

}  // namespace

Result<Identity> ParseIdentity(std::string_view text) {
  Identity identity;
  const std::map<std::string_view, std::string*> fields = {
      {"ID", &identity.id},
      {"VERSION_ID", &identity.version_id},
      {"VERSION_CODENAME", &identity.codename},
      {"PRETTY_NAME", &identity.pretty_name},
      {"NAME", &identity.name},
      {"IMAGE_VERSION", &identity.image_version},
      {"VENDOR_NAME", &identity.vendor},
      {"SUPPORT_END", &identity.support_end}};
  std::string_view key, value;
  while (NextLoaderLine(text, "=", key, value))
    if (const auto field = fields.find(key); field != fields.end()) *field->second = value;
  for (const char* needed : {"ID", "VERSION_ID", "NAME", "IMAGE_VERSION"})
    if (fields.at(needed)->empty()) return Fail(Code::kFailed, "expected {}, found none", needed);
  return identity;
}

Result<Sbom> DescribeRoot(const SbomInput& input) {
  const RootFiles root = TRY(RootFiles::Open(input.tree));
  Sbom sbom;
  sbom.identity = TRY(ReadIdentity(root));
  sbom.timestamp = input.timestamp;
  sbom.packages = TRY(ReadPackages(root));
  sbom.sources = SourcesOf(sbom.packages);
  const FileOwners owners =
      TRY(FileOwners::Load(root, {sbom.packages.begin(), sbom.packages.end()}));
  sbom.programs = TRY(FindPrograms(root, owners));

  // Debian puts the kernel into /boot; a release has it with its modules.
  const std::string boot = "/boot/vmlinuz-" + input.kernel_version;
  const UniqueFd kernel = TRY(root.OpenFile(input.kernel));
  std::vector<BootImage> images = {
      {.name = "kernel", .path = input.kernel, .digest = {}, .files = {boot}}};
  images[0].digest = TRY(DigestOf(kernel, input.kernel));
  images.insert(images.end(), input.images.begin(), input.images.end());
  for (const BootImage& image : images) {
    std::set<size_t> packages, programs;
    for (const std::string& file : image.files) {
      const auto owner = owners.Of(file == input.kernel ? boot : file);
      if (owner) packages.insert(*owner);
      const auto program = std::ranges::find(sbom.programs, file, &SbomProgram::path);
      if (program != sbom.programs.end())
        programs.insert(static_cast<size_t>(program - sbom.programs.begin()));
    }
    sbom.images.push_back(
        {.name = image.name,
         .path = image.path,
         .version = image.name == "kernel" ? input.kernel_version : sbom.identity.image_version,
         .digest = image.digest,
         .packages = Listed(packages),
         .programs = Listed(programs),
         .other_bytes = image.other_bytes,
         .other_programs = image.other_programs});
  }
  return sbom;
}

}  // namespace hostos
